package site

import (
	"fmt"
	"slices"
	"testing"

	"cohort/core"
	"cohort/membership"
	"cohort/order"
	"cohort/slab"
	"cohort/wire"
)

// ring is sites and what is between them.
type ring struct {
	t        *testing.T
	now      int64
	sites    map[uint64]*Site
	programs map[uint64]*program
	lost     func(from, to uint64) bool                          // packets
	held     func(from, to uint64, k membership.LetterKind) bool // letters
	idle     uint64                                              // whose program takes nothing
	last     []byte                                              // packet that was sent
}

func newRing(t *testing.T, v membership.View) *ring {
	r := &ring{t: t, sites: map[uint64]*Site{}, programs: map[uint64]*program{}}
	for _, m := range v.Members {
		r.sites[m.ID], r.programs[m.ID] = newSite(t, v, m.ID), &program{}
	}
	r.lost = func(uint64, uint64) bool { return false }
	r.held = func(uint64, uint64, membership.LetterKind) bool { return false }
	return r
}

// pass lets the sites turn, by ID, every 10 ms for some time.
func (r *ring) pass(d int64) {
	for end := r.now + d; r.now < end; {
		r.now += 10 * ms
		for range 4 { // there and back again
			for id := range uint64(len(r.sites)) {
				r.turn(id + 1)
			}
		}
	}
}

func (r *ring) turn(id uint64) {
	s := r.sites[id]
	s.Flush(r.now)
	for _, o := range s.Output() {
		for at := 0; at < len(o.Buf); at += o.Segment {
			r.last = slices.Clone(o.Buf[at:min(at+o.Segment, len(o.Buf))])
			for to, other := range r.sites {
				if to != id && (o.Member == nil || o.Member.ID == to) && !r.lost(id, to) {
					packet(r.now, other, r.last)
				}
			}
		}
	}
	s.Recycle()
	if id != r.idle {
		s.Deliver(r.now, r.programs[id], 100)
	}
	for _, l := range s.Letters() {
		if to := r.sites[l.To]; to != nil && !r.held(id, l.To, l.Kind) {
			to.Letter(r.now, id, l.Letter)
		}
	}
}

func packet(now int64, s *Site, b []byte) {
	ref := s.pool.Get()
	copy(s.pool.Bytes(ref), b)
	s.Packet(now, ref, 0, len(b))
	s.pool.Release(ref)
}

func (r *ring) send(id uint64) {
	r.t.Helper()
	if _, done := r.sites[id].Submit(r.now, core.Message{Level: order.FIFO, Size: 2}, []byte("hi")); !done {
		r.t.Fatal("not taken")
	}
}

// joiner comes after the members of viewOf(n).
func joiner(n int) membership.Member { return viewOf(n + 1).Members[n] }

// TestPacketsOfTheNextViewAreKept, if they are whole, up to a bound.
func TestPacketsOfTheNextViewAreKept(t *testing.T) {
	r := newRing(t, viewOf(2))
	a, b := r.sites[1], r.sites[2]
	r.held = func(_, _ uint64, k membership.LetterKind) bool { return k == membership.Install }
	a.Admit(r.now, joiner(2))
	r.pass(10 * ms)
	if a.View().Num != 2 || b.View().Num != 1 {
		t.Fatalf("in views %d and %d, want 2 and 1", a.View().Num, b.View().Num)
	}
	kept := len(b.early)
	r.send(1)
	r.turn(1)
	if len(b.early) != kept+1 {
		t.Fatalf("%d packets kept, want %d", len(b.early), kept+1)
	}
	broken := slices.Clone(r.last)
	broken[len(broken)-1]++
	if packet(r.now, b, broken); len(b.early) != kept+1 {
		t.Error("a broken packet is kept")
	}
	for range 2 * maxEarly {
		packet(r.now, b, r.last)
	}
	if len(b.early) != maxEarly {
		t.Errorf("%d packets kept, want %d", len(b.early), maxEarly)
	}
	r.lost = func(uint64, uint64) bool { return true }
	b.Letter(r.now, 1, a.last)
	r.pass(10 * ms)
	if r.programs[2].delivered != 1 || len(b.early) != 0 || b.pool.Live() > 10 {
		t.Errorf("%d messages delivered, want 1; %d packets are still kept, in %d slots", r.programs[2].delivered, len(b.early), b.pool.Live())
	}
}

// TestEarlyPacketsAreBoundedByBytes: of rings that this member is not in, there may come
// any number of large ones.
func TestEarlyPacketsAreBoundedByBytes(t *testing.T) {
	v := viewOf(2)
	s := newSite(t, v, 2)
	s.Letter(ms, 1, membership.Letter{Kind: membership.Prepare, View: v.Key(), Num: 1, Ballot: 1 << 8})
	b := make([]byte, 60_000)
	wire.PutHeader(b, wire.Header{Kind: wire.Data, View: v.Key() + 1, Seq: 1, Body: len(b) - wire.HeaderSize - wire.SumSize})
	wire.Seal(b)
	for range 100 {
		packet(ms, s, b)
	}
	if k := len(s.early); k == 0 || k*len(b) > 1<<20 {
		t.Errorf("%d packets of %d bytes are kept, of a buffer of 1 MiB", k, len(b))
	}
}

// TestTheViewBeforeIsRepaired for one who is late, and then forgotten, whether
// or not those who joined have been heard.
func TestTheViewBeforeIsRepaired(t *testing.T) {
	r := newRing(t, viewOf(2))
	a, b := r.sites[1], r.sites[2]
	r.lost = func(uint64, uint64) bool { return true }
	r.send(1)
	a.Admit(r.now, joiner(2))
	for r.sites[1].View().Num == 1 && r.now < 2000*ms {
		for _, s := range r.sites { // they hear each other, but for the packets
			for rank := range s.vigil.from {
				s.vigil.from[rank].grace = r.now
			}
		}
		r.pass(10 * ms)
	}
	if a.View().Num != 2 || a.View().Rank(2) < 0 || b.View().Num != 1 || a.previous == nil {
		t.Fatalf("in views %d and %d, want 2 and 1", a.View().Num, b.View().Num)
	}
	r.lost = func(uint64, uint64) bool { return false }
	r.pass(50 * ms)
	if b.View().Num != 2 || r.programs[2].delivered != 1 {
		t.Errorf("the one who is late is in view %d, with %d messages; want 2, with 1", b.View().Num, r.programs[2].delivered)
	}
	if a.previous != nil || b.previous != nil {
		t.Error("the view before is kept though nobody needs it")
	}
}

// kinds lists the letters that s has to send.
func kinds(s *Site) (list []string) {
	for _, l := range s.Letters() {
		list = append(list, fmt.Sprint(l.To, " ", l.Kind, " ", l.Num))
	}
	return list
}

// TestLettersOfTheNextViewAreKept up to a bound, and none with state.
func TestLettersOfTheNextViewAreKept(t *testing.T) {
	s := newSite(t, viewOf(2), 2)
	s.Letter(ms, 1, membership.Letter{Kind: membership.State, Num: 2})
	if len(s.soon) != 0 {
		t.Error("state is kept")
	}
	for range 2 * maxSoon {
		s.Letter(ms, 1, membership.Letter{Kind: membership.Suspect, Num: 2})
	}
	if len(s.soon) != maxSoon {
		t.Errorf("%d letters kept, want %d", len(s.soon), maxSoon)
	}
}

// TestWhoKnowsTheDecisionIsNotGone by what others say: it ends the view as all do.
func TestWhoKnowsTheDecisionIsNotGone(t *testing.T) {
	v := viewOf(3)
	s := newSite(t, v, 2)
	var p program
	s.Letter(ms, 1, install(v, 1, 2))
	s.Letter(ms, 1, membership.Letter{Kind: membership.Gone, View: v.Key(), Num: 1})
	turn(ms, s, &p, nil)
	if s.Out() || s.View().Num != 2 {
		t.Errorf("in view %d, out %v", s.View().Num, s.Out())
	}
}

// TestWhatNeedsNoAnswer about views that are over.
func TestWhatNeedsNoAnswer(t *testing.T) {
	v := viewOf(3)
	s := newSite(t, v, 2)
	var p program
	s.Letter(ms, 1, install(v, 1, 2))
	turn(ms, s, &p, nil)
	s.Letters()
	for _, k := range []membership.LetterKind{membership.Install, membership.Accepted} {
		s.Letter(ms, 3, membership.Letter{Kind: k, View: v.Key(), Num: 1})
	}
	if got := kinds(s); len(got) > 0 {
		t.Errorf("it answers %v", got)
	}
	v.Num = 5
	s = newSite(t, v, 2)
	s.Letter(ms, 1, membership.Letter{Kind: membership.Suspect, View: 77, Num: 3}) // it was under way for long
	if got := kinds(s); len(got) > 0 {
		t.Errorf("it tells a member that it is none: %v", got)
	}
}

// TestALetterEndsABlock, and a connection does; and who is back has time to be heard.
func TestALetterEndsABlock(t *testing.T) {
	v := viewOf(2)
	for name, back := range map[string]func(s *Site){
		"letter":     func(s *Site) { s.Letter(250*ms, 1, membership.Letter{Kind: membership.Suspect, View: v.Key(), Num: 1}) },
		"connection": func(s *Site) { s.Connected(250*ms, 1) },
	} {
		s := newSite(t, v, 2)
		var p program
		for i := range int64(25) {
			turn(i*10*ms, s, &p, nil)
		}
		if !s.Blocked() || len(p.changes) != 1 {
			t.Fatalf("%s: not blocked, or not told once: %v", name, p.changes)
		}
		back(s)
		for i := range int64(10) {
			turn((25+i)*10*ms, s, &p, nil)
			if s.Blocked() {
				t.Fatalf("%s: blocked %d ms later", name, 10*i)
			}
		}
		for i := range int64(3) {
			turn((35+i)*10*ms, s, &p, nil)
		}
		if !s.Blocked() {
			t.Errorf("%s: not blocked again", name)
		}
	}
}

// TestHearsayAboutTheConnectedIsForgiven by one who is blocked, even if they were
// connected before they joined.
func TestHearsayAboutTheConnectedIsForgiven(t *testing.T) {
	v := viewOf(2)
	decision := install(v, 1, 2)
	decision.Proposal.Next = viewOf(3)
	decision.Proposal.Next.Num, decision.Proposal.Next.Members[2].Joined = 2, 2
	for _, connected := range []bool{true, false} {
		s := newSite(t, v, 2)
		var p program
		s.Connected(ms, 3)
		if !connected {
			s.Disconnected(ms, 3)
		}
		s.Letter(ms, 1, decision)
		turn(ms, s, &p, nil)
		s.Letter(ms, 1, membership.Letter{
			Kind: membership.Suspect, View: s.key, Num: 2, Suspicions: []membership.Departure{{Rank: 2, Reason: membership.Silent}},
		})
		s.Disconnected(ms, 1)
		if !s.Blocked() {
			t.Fatal("not blocked")
		}
		for i := range int64(12) {
			s.vigil.from[2].grace = i * 10 * ms // it is heard
			turn((1+i*10)*ms, s, &p, nil)
		}
		if s.Blocked() == connected {
			t.Errorf("connected %v: blocked %v", connected, s.Blocked())
		}
	}
}

// TestLeavingIsAskedForAgain, of each view and each timeout.
func TestLeavingIsAskedForAgain(t *testing.T) {
	v := viewOf(3)
	s := newSite(t, v, 3)
	s.Leave(0)
	if got := kinds(s); !slices.Equal(got, []string{"1 Leave 1"}) {
		t.Fatalf("it sends %v", got)
	}
	s.Letter(0, 1, install(v, 1, 2, 3))
	var p program
	s.Deliver(0, &p, 10)
	if got := kinds(s); !slices.Equal(got, []string{"1 Leave 2"}) {
		t.Fatalf("in the next view it sends %v", got)
	}
	for i := range int64(11) {
		s.vigil.from[0].grace = i * 10 * ms // it is heard
		s.Flush((1 + i*10) * ms)
	}
	if got := kinds(s); !slices.Contains(got, "1 Leave 2") {
		t.Errorf("it does not ask again: %v", got)
	}
}

// TestOneViewBeforeIsKept, and the one before that is given back.
func TestOneViewBeforeIsKept(t *testing.T) {
	v := viewOf(2)
	s := newSite(t, v, 2)
	var p program
	if _, done := s.Submit(0, core.Message{Level: order.FIFO, Size: 2}, []byte("hi")); !done {
		t.Fatal("not taken")
	}
	turn(0, s, &p, nil)
	if s.pool.Live() == 0 {
		t.Fatal("nothing is kept")
	}
	decision := install(v, 1, 2)
	decision.Proposal.Cut[1] = 1
	for range 2 {
		s.Letter(0, 1, decision)
		turn(0, s, &p, nil)
		decision = install(s.View(), 1, 2)
	}
	if s.View().Num != 3 || s.pool.Live() != 0 {
		t.Errorf("in view %d, %d slots are kept", s.View().Num, s.pool.Live())
	}
}

// TestWhoMergesDeliversAll before its ring ends.
func TestWhoMergesDeliversAll(t *testing.T) {
	v := viewOf(2)
	s := newSite(t, v, 2)
	decision := install(v)
	decision.Proposal.Cut[0] = 1
	for i := range decision.Proposal.Gone {
		decision.Proposal.Gone[i].Reason = membership.Merged
	}
	var p program
	s.Letter(0, 1, decision)
	if turn(0, s, &p, nil); s.Out() {
		t.Error("it is out with a message missing")
	}
}

// TestEachBlockIsTold once.
func TestEachBlockIsTold(t *testing.T) {
	s := newSite(t, viewOf(3), 2)
	var p program
	for range 2 {
		s.Disconnected(0, 1)
		s.Disconnected(0, 3)
		turn(0, s, &p, nil)
		turn(0, s, &p, nil)
		s.Letter(0, 1, install(s.View(), 1, 2, 3))
		turn(0, s, &p, nil)
	}
	var told []bool
	for _, c := range p.changes {
		told = append(told, c.Blocked)
	}
	if !slices.Equal(told, []bool{true, false, true, false}) {
		t.Errorf("blocked in %v, want in every other", told)
	}
}

// TestWhoJoinsIsWelcomed by one who stays.
func TestWhoJoinsIsWelcomed(t *testing.T) {
	v := viewOf(2)
	s := newSite(t, v, 2)
	decision := install(v, 1, 2)
	decision.Proposal.Next.Members = append(decision.Proposal.Next.Members, joiner(2))
	decision.Proposal.Next.Members[2].Joined = 2
	s.Letter(ms, 1, decision)
	var p program
	s.Deliver(ms, &p, 10)
	if got := kinds(s); !slices.Equal(got, []string{"3 Install 1"}) {
		t.Errorf("it sends %v", got)
	}
}

// TestWhoCannotFetchAViewItIsIn says that it cannot go on, and waits for somebody who
// has the rest. That it has stood still is no reason.
func TestWhoCannotFetchAViewItIsIn(t *testing.T) {
	v := viewOf(3)
	decision := install(v, 1, 2)
	decision.Proposal.Cut[0] = 1
	s := newSite(t, v, 2)
	var p program
	s.Letter(0, 1, decision)
	now := int64(0)
	for ; !s.Blocked() && now < 2000*ms; now += 10 * ms {
		turn(now, s, &p, nil)
	}
	if now <= fetchFor*100*ms || !s.Blocked() || s.Out() || len(p.changes) != 1 || !p.changes[0].Blocked {
		t.Fatalf("after %d ms blocked %v, out %v, told %+v", now/ms, s.Blocked(), s.Out(), p.changes)
	}
	r := newRing(t, v)
	r.send(1)
	r.turn(1)
	packet(now, s, r.last)
	if turn(now, s, &p, nil); s.Blocked() || s.View().Num != 2 || p.delivered != 1 {
		t.Errorf("with the rest it is in view %d, blocked %v, and has delivered %d messages", s.View().Num, s.Blocked(), p.delivered)
	}
	s = newSite(t, v, 2)
	s.Letter(0, 1, decision)
	turn(10*ms, s, &p, nil)
	if turn(5000*ms, s, &p, nil); s.Blocked() {
		t.Error("it gives up as it wakes up")
	}
}

// TestWhoCannotFetchItsLastView gives it up, after a while.
func TestWhoCannotFetchItsLastView(t *testing.T) {
	v := viewOf(3)
	s := newSite(t, v, 3)
	decision := install(v, 1, 2)
	decision.Proposal.Gone[0].Reason, decision.Proposal.Cut[0] = membership.Left, 5
	s.Letter(0, 1, decision)
	var p program
	for now := int64(0); !s.Out() && now < 2000*ms; now += 10 * ms {
		if turn(now, s, &p, nil); s.Out() && now <= fetchFor*100*ms {
			t.Fatalf("given up after %d ms", now/ms)
		}
	}
	if len(p.changes) != 1 || !p.changes[0].Out || p.changes[0].Why != 0 {
		t.Errorf("changes %+v, want to be out, and not to have left", p.changes)
	}
}

// busy is a program that takes no message while it is.
type busy struct {
	program
	now bool
}

func (p *busy) Deliver(d *core.Delivery) bool { return !p.now && p.program.Deliver(d) }

// TestASlowProgramStillLeaves with all that its last view had.
func TestASlowProgramStillLeaves(t *testing.T) {
	v := viewOf(3)
	s := newSite(t, v, 3)
	if _, done := s.Submit(0, core.Message{Level: order.FIFO, Size: 2}, []byte("hi")); !done {
		t.Fatal("not taken")
	}
	decision := install(v, 1, 2)
	decision.Proposal.Gone[0].Reason, decision.Proposal.Cut[2] = membership.Left, 1
	p := busy{now: true}
	for i := range int64(200) {
		p.now = i < 198
		now := i * 10 * ms
		s.Flush(now)
		s.Output()
		s.Recycle()
		if i == 1 {
			s.Letter(now, 1, decision)
		}
		s.Deliver(now, &p, 100)
	}
	if p.delivered != 1 || len(p.changes) != 1 || p.changes[0].Why != membership.Left {
		t.Errorf("delivered %d, changes %+v", p.delivered, p.changes)
	}
}

// TestTheSlowAreSuspected, who have senders wait for too long at a time.
func TestTheSlowAreSuspected(t *testing.T) {
	r := newRing(t, viewOf(2))
	cfg := Config{Core: core.Config{HoldLimit: 1 << 12}, Rules: membership.Rules{Timeout: 100 * ms}, Slow: 300 * ms}
	for id := range r.sites {
		s, err := New(0, cfg, viewOf(2), id, slab.NewPool())
		if err != nil {
			t.Fatal(err)
		}
		r.sites[id] = s
	}
	hold := func(d int64) {
		r.idle = 2
		for range 10 { // more than may wait
			if _, done := r.sites[1].Submit(r.now, core.Message{Level: order.FIFO, Size: 1400}, make([]byte, 1400)); !done {
				break
			}
			r.turn(1)
			r.turn(2)
		}
		r.pass(d)
		r.idle = 0
		r.pass(50 * ms)
	}
	for range 2 {
		if hold(200 * ms); len(r.programs[1].changes) != 0 {
			t.Fatalf("too soon: %+v", r.programs[1].changes)
		}
	}
	hold(400 * ms)
	if c := r.programs[1].changes; len(c) == 0 || len(c[0].Gone) != 1 || c[0].Gone[0].Reason != membership.Slow {
		t.Errorf("changes %+v", c)
	}
}

// TestTheDeafAreSuspected, who live and do not hear.
func TestTheDeafAreSuspected(t *testing.T) {
	r := newRing(t, viewOf(2))
	r.lost = func(from, _ uint64) bool { return from == 1 }
	r.held = func(from, _ uint64, _ membership.LetterKind) bool { return from == 2 }
	r.send(1)
	r.pass(deafFor * 100 * ms)
	if len(r.programs[1].changes) != 0 {
		t.Fatalf("too soon: %+v", r.programs[1].changes)
	}
	r.pass(50 * ms)
	if c := r.programs[1].changes; len(c) != 1 || len(c[0].Gone) != 1 || c[0].Gone[0].Reason != membership.Deaf {
		t.Errorf("changes %+v", c)
	}
}

// TestStandingStillProvesNothing about others; their silence does, and is noticed
// in time.
func TestStandingStillProvesNothing(t *testing.T) {
	s := newSite(t, viewOf(3), 3)
	s.Flush(10 * ms)
	if due := s.vigilDue(); due != 60*ms {
		t.Errorf("due at %d ms, want 60: half a timeout later", due/ms)
	}
	s.Flush(5000 * ms)
	if s.agreement.Suspected(0) != 0 {
		t.Error("suspected for a silence that nobody listened to")
	}
	s.Flush(5045 * ms)
	s.Flush(5090 * ms)
	if due := s.vigilDue(); due != 5100*ms+1 {
		t.Errorf("due at %d ns, want when the timeout is over", due)
	}
	if s.Flush(5100 * ms); s.agreement.Suspected(0) != 0 {
		t.Error("suspected too soon")
	}
	if s.Flush(5101 * ms); s.agreement.Suspected(0) != membership.Silent {
		t.Error("not suspected")
	}
	s.Letters()
	s.Flush(5140 * ms)
	s.Flush(5180 * ms)
	s.Letters()
	if s.Flush(5202 * ms); !slices.Contains(kinds(s), "1 Suspect 1") {
		t.Error("suspicions are not repeated")
	}
}

// TestStandingStillIsNotNotAnswering: a leader that stood still has the answers that
// came meanwhile before it, one after the other, and expels nobody for those yet to be read.
func TestStandingStillIsNotNotAnswering(t *testing.T) {
	v := viewOf(3)
	for name, first := range map[string]func(s *Site, now int64){
		"a letter": func(s *Site, now int64) {
			s.Letter(now, 3, membership.Letter{Kind: membership.Suspect, View: v.Key(), Num: 1})
		},
		"a connection":    func(s *Site, now int64) { s.Connected(now, 3) },
		"a disconnection": func(s *Site, now int64) { s.Disconnected(now, 3) },
		"nothing":         func(s *Site, now int64) { s.Flush(now) },
	} {
		s := newSite(t, v, 1)
		s.Flush(10 * ms)
		s.Letter(20*ms, 3, membership.Letter{Kind: membership.Leave, View: v.Key(), Num: 1})
		s.Flush(40 * ms)
		if first(s, 125*ms); s.agreement.Suspected(1) != 0 {
			t.Errorf("%s: suspected as %v by one who stood still", name, s.agreement.Suspected(1))
		}
		if s.Flush(125 * ms); s.agreement.Suspected(1) != 0 {
			t.Errorf("%s: suspected as %v in the turn after", name, s.agreement.Suspected(1))
		}
		s.vigil.from[1].grace = 1000 * ms // it is heard
		for now := 140 * ms; now < 240*ms; now += 20 * ms {
			s.Flush(now)
		}
		if s.Flush(240 * ms); s.agreement.Suspected(1) != membership.Unanswering {
			t.Errorf("%s: suspected as %v when the time to answer is over", name, s.agreement.Suspected(1))
		}
	}
}

// TestStandingStillIsNotWaiting: how long a member has made senders wait, one who stood
// still does not know.
func TestStandingStillIsNotWaiting(t *testing.T) {
	v := viewOf(2)
	cfg := Config{Rules: membership.Rules{Timeout: 100 * ms}, Slow: 300 * ms}
	s, err := New(0, cfg, v, 1, slab.NewPool())
	if err != nil {
		t.Fatal(err)
	}
	row := func(now int64) {
		b := make([]byte, wire.Overhead+wire.RowSize(2))
		wire.PutHeader(b, wire.Header{Kind: wire.RowOnly, View: v.Key(), Sender: 1, Flags: wire.HasRow})
		wire.AppendRow(b[:wire.HeaderSize], uint64(now), 0, true, make([]uint64, 2))
		wire.Seal(b)
		packet(now, s, b)
	}
	row(10 * ms)
	s.Flush(10 * ms)
	row(1000 * ms) // it pauses again, or still
	if s.Flush(1000 * ms); s.agreement.Suspected(1) != 0 {
		t.Fatalf("suspected as %v by one who stood still", s.agreement.Suspected(1))
	}
	for now := 1040 * ms; now <= 1340*ms; now += 40 * ms {
		row(now)
		s.Flush(now)
	}
	if s.agreement.Suspected(1) != membership.Slow {
		t.Errorf("suspected as %v after a pause that is too long", s.agreement.Suspected(1))
	}
}
