package site

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"cohort/core"
	"cohort/membership"
	"cohort/order"
	"cohort/slab"
)

const ms = int64(1_000_000)

func viewOf(n int) membership.View {
	v := membership.View{Ring: 1, Num: 1}
	for i := range n {
		v.Members = append(v.Members, membership.Member{
			ID: uint64(i + 1), Joined: 1, Since: int64(i), RecvBuffer: 1 << 20, Segment: 1472,
			Addr: netip.MustParseAddrPort("10.0.0.1:7"), Control: netip.MustParseAddrPort("10.0.0.1:7"),
		})
	}
	return v
}

func newSite(t testing.TB, v membership.View, self uint64) *Site {
	s, err := New(0, Config{Core: core.Config{}, Rules: membership.Rules{Timeout: 100 * ms}}, v, self, slab.NewPool())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// program notes what its site tells it.
type program struct {
	delivered int
	changes   []Change
}

func (p *program) Deliver(*core.Delivery) bool { p.delivered++; return true }
func (p *program) View(c Change)               { p.changes = append(p.changes, c) }

// turn lets a site do what it can, and brings its letters to the others.
func turn(now int64, s *Site, p *program, others map[uint64]*Site) {
	s.Flush(now)
	s.Output()
	s.Recycle()
	s.Deliver(now, p, 100)
	for _, l := range s.Letters() {
		if to := others[l.To]; to != nil {
			to.Letter(now, s.self, l.Letter)
		}
	}
}

func TestNotAMember(t *testing.T) {
	if _, err := New(0, Config{Rules: membership.Rules{Timeout: ms}}, viewOf(2), 7, slab.NewPool()); err == nil {
		t.Error("a site of a view that it is not in")
	}
}

// TestTheOlderOfTwoGoesOn when they lose each other, and the younger is told that
// it cannot.
func TestTheOlderOfTwoGoesOn(t *testing.T) {
	v := viewOf(2)
	a, b := newSite(t, v, 1), newSite(t, v, 2)
	var pa, pb program
	a.Disconnected(ms, 2)
	b.Disconnected(ms, 1)
	turn(ms, a, &pa, nil)
	turn(ms, b, &pb, nil)
	if len(pa.changes) != 1 || len(pa.changes[0].Next.Members) != 1 || pa.changes[0].Gone[0].Reason != membership.Crashed {
		t.Errorf("the older sees %+v, want a view of itself", pa.changes)
	}
	if len(pb.changes) != 1 || !pb.changes[0].Blocked || !b.Blocked() {
		t.Errorf("the younger sees %+v, want to be blocked", pb.changes)
	}
	if _, done := b.Submit(2*ms, core.Message{Level: order.FIFO}, nil); done {
		t.Error("a blocked site takes a message")
	}
}

// TestTheLastOneLeaves: a view of one ends without a next.
func TestTheLastOneLeaves(t *testing.T) {
	s := newSite(t, viewOf(1), 1)
	var p program
	if _, done := s.Submit(0, core.Message{Level: order.Total.Safe(), Size: 3}, []byte("bye")); !done {
		t.Fatal("not taken")
	}
	s.Leave(ms)
	for i := range int64(3) {
		turn(ms+i, s, &p, nil)
	}
	if p.delivered != 1 || len(p.changes) != 1 || !p.changes[0].Out || p.changes[0].Why != membership.Left || !s.Out() {
		t.Errorf("delivered %d, changes %+v, want the message and then the end", p.delivered, p.changes)
	}
}

// TestAnImpossibleViewIsNotEntered: a leader may lie, and nobody may die of it.
func TestAnImpossibleViewIsNotEntered(t *testing.T) {
	v := viewOf(2)
	s := newSite(t, v, 2)
	next := viewOf(2)
	next.Num = 2
	next.Members[0].Segment = 1 // no packet fits
	var p program
	s.Letter(ms, 1, membership.Letter{
		Kind: membership.Install, View: v.Key(), Num: 1, Proposal: membership.Proposal{Next: next, Cut: []uint64{0, 0}}, Holders: []uint8{0, 0},
	})
	turn(ms, s, &p, nil)
	if !s.Out() || len(p.changes) != 1 || !p.changes[0].Out {
		t.Errorf("out %v, changes %+v", s.Out(), p.changes)
	}
}

// install is the decision that these go on, alone.
func install(v membership.View, ids ...uint64) membership.Letter {
	next, gone := v, []membership.Departure(nil)
	next.Num, next.Members = v.Num+1, nil
	for r, m := range v.Members {
		if slices.Contains(ids, m.ID) {
			next.Members = append(next.Members, m)
		} else {
			gone = append(gone, membership.Departure{Rank: r, Reason: membership.Silent})
		}
	}
	cut := make([]uint64, len(v.Members))
	return membership.Letter{
		Kind: membership.Install, View: v.Key(), Num: v.Num,
		Proposal: membership.Proposal{Next: next, Cut: cut, Gone: gone}, Holders: make([]uint8, len(cut)),
	}
}

// TestTheExpelledDoNotExpel: one who stays, and has not heard that yet, hears from
// one who does not what was decided, and no more.
func TestTheExpelledDoNotExpel(t *testing.T) {
	v := viewOf(3)
	b, c := newSite(t, v, 2), newSite(t, v, 3)
	var pb, pc program
	c.Letter(ms, 1, install(v, 1, 2))
	turn(ms, c, &pc, nil)
	if !c.Out() {
		t.Fatal("not expelled")
	}
	c.Letter(2*ms, 2, membership.Letter{Kind: membership.Suspect, View: v.Key(), Num: v.Num})
	for _, l := range c.Letters() {
		b.Letter(3*ms, 3, l.Letter)
	}
	turn(3*ms, b, &pb, nil)
	if b.Out() || b.View().Num != 2 {
		t.Errorf("one who stays is in view %d, out %v", b.View().Num, b.Out())
	}
}

// TestWhoIsToldThatItIsGone, by one who is out itself.
func TestWhoIsToldThatItIsGone(t *testing.T) {
	v := install(viewOf(3), 1, 2).Proposal.Next
	ask := func(v membership.View) membership.Letter {
		return membership.Letter{Kind: membership.Suspect, View: v.Key(), Num: v.Num}
	}
	for name, out := range map[string]membership.Letter{
		"by a decision that it knows": install(v, 1),
		"by hearsay":                  {Kind: membership.Gone, View: v.Key(), Num: v.Num},
	} {
		s := newSite(t, v, 2)
		var p program
		s.Letter(ms, 1, out)
		turn(ms, s, &p, nil)
		if !s.Out() {
			t.Fatalf("%s: not out", name)
		}
		s.Letter(2*ms, 1, ask(v))
		s.Letter(2*ms, 3, ask(viewOf(3)))
		s.Letter(2*ms, 3, membership.Letter{Kind: membership.Gone, View: viewOf(3).Key(), Num: 1})
		s.Leave(2 * ms) // what it did not know of when it asked
		s.Admit(2*ms, joiner(3))
		var told []string
		for _, l := range s.Letters() {
			told = append(told, fmt.Sprint(l.To, " ", l.Kind))
		}
		want := []string{"1 Install", "3 Gone"}
		if out.Kind == membership.Gone {
			want = want[1:]
		}
		if !slices.Equal(told, want) {
			t.Errorf("%s: it tells %v, want %v", name, told, want)
		}
	}
}

// TestWhoJoinedTellsTheDecision, if all who stay and know of it have crashed; or
// that the ring has gone on, if it has since.
func TestWhoJoinedTellsTheDecision(t *testing.T) {
	for _, further := range []bool{false, true} {
		v := viewOf(2)
		decision := install(v, 1, 2)
		next := viewOf(3)
		next.Num, next.Members[2].Joined = 2, 2
		decision.Proposal.Next = next
		b, c := newSite(t, v, 2), newSite(t, next, 3)
		both := map[uint64]*Site{2: b, 3: c}
		var pb, pc program
		b.Disconnected(ms, 1)
		turn(ms, b, &pb, nil)
		c.Letter(ms, 1, decision)
		if further {
			c.Letter(ms, 1, install(next, 3))
		}
		c.Disconnected(2*ms, 1)
		for i := range int64(4) {
			turn((2+i)*ms, c, &pc, both)
			turn((2+i)*ms, b, &pb, both)
		}
		if further {
			b.Letter(7*ms, 3, membership.Letter{Kind: membership.Suspect, View: next.Key(), Num: 2}) // it was on its way
			turn(7*ms, b, &pb, both)
			turn(7*ms, c, &pc, both)
			turn(7*ms, b, &pb, both)
		}
		if b.Out() != further || !further && b.View().Num < 2 {
			t.Errorf("gone further %v: the one who was blocked is in view %d, out %v", further, b.View().Num, b.Out())
		}
	}
}

// TestAFirstViewHasNoneBefore that others could ask about.
func TestAFirstViewHasNoneBefore(t *testing.T) {
	v := viewOf(2)
	s := newSite(t, v, 2)
	s.Letter(ms, 1, membership.Letter{Kind: membership.Install, Proposal: membership.Proposal{Next: v}})
	s.Letter(ms, 9, membership.Letter{Kind: membership.Join})
	for _, l := range s.Letters() {
		if l.Kind == membership.Install {
			t.Error("an outsider is told of the first view")
		}
	}
}

// TestOthersCannotSayThatItIsGone: who has never been in a view with this member.
func TestOthersCannotSayThatItIsGone(t *testing.T) {
	v := viewOf(2)
	s := newSite(t, v, 2)
	var p program
	s.Letter(ms, 9, membership.Letter{Kind: membership.Gone, View: v.Key(), Num: 1})
	s.Letter(ms, 1, membership.Letter{Kind: membership.Gone, View: v.Key() + 1, Num: 1})
	turn(ms, s, &p, nil)
	if s.Out() {
		t.Error("it is out")
	}
}

// TestAnotherRingCannotSayThatItIsGone: one that had this member put into a view of its
// own, by a word that it gave before it came into this ring, and has gone on without it.
func TestAnotherRingCannotSayThatItIsGone(t *testing.T) {
	for ring, out := range map[uint64]bool{1: true, 2: false} {
		v, other := viewOf(2), viewOf(3)
		other.Ring, other.Num, other.Members = ring, 2, []membership.Member{other.Members[2], other.Members[1]}
		other.Members[0].Since = 0
		s, z := newSite(t, v, 2), newSite(t, other, 3)
		both := map[uint64]*Site{2: s, 3: z}
		var p, pz program
		z.Disconnected(ms, 2)
		turn(ms, z, &pz, both) // and goes on alone, having said so
		if z.View().Num != 3 {
			t.Fatalf("the other ring is in view %d, want 3", z.View().Num)
		}
		turn(2*ms, s, &p, both)
		turn(3*ms, z, &pz, both)
		if turn(4*ms, s, &p, nil); s.Out() != out {
			t.Errorf("told by ring %d, a member of ring 1 is out: %v", ring, s.Out())
		}
	}
}

// FuzzLetters: whatever comes over the control plane, nothing panics or hangs.
func FuzzLetters(f *testing.F) {
	v := viewOf(3)
	next := viewOf(3)
	next.Num = 2
	for _, l := range []membership.Letter{
		{Kind: membership.Prepare, Ballot: 1 << 8},
		{Kind: membership.Propose, Ballot: 1 << 8, Proposal: membership.Proposal{Next: next, Cut: []uint64{1 << 60, 0, 0}}, Holders: make([]uint8, 3)},
		{Kind: membership.Install, Proposal: membership.Proposal{Next: next, Cut: make([]uint64, 3)}, Holders: make([]uint8, 3)},
		{Kind: membership.Suspect, Suspicions: []membership.Departure{{Rank: 1, Reason: membership.Silent}}},
		{Kind: membership.Gone, Text: "x"},
	} {
		l.View, l.Num = v.Key(), 1
		f.Add(uint8(1), l.Append(nil))
	}
	f.Fuzz(func(t *testing.T, from uint8, body []byte) {
		l, err := membership.ParseLetter(body)
		if err != nil {
			return
		}
		s := newSite(t, v, 2)
		var p program
		for i := range int64(4) {
			s.Letter(i*50*ms, uint64(from), l)
			turn(i*50*ms, s, &p, nil)
		}
	})
}
