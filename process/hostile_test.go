package process

import (
	"encoding/binary"
	"fmt"
	"testing"

	"cohort/membership"
	"cohort/slab"
	"cohort/wire"
)

// bounded checks that no list of a process is long, whatever has come.
func (a *peer) bounded() {
	a.w.t.Helper()
	p := a.Process
	s, d := &p.seek, &p.door
	for what, n := range map[string]int{
		"heard": len(s.heard), "rings": len(p.rings), "shunned": len(s.shun), "words": len(s.words), "links": len(p.links.up), "candidates": len(d.candidates),
	} {
		if n > maxHeard {
			a.w.t.Errorf("%s: %d %s", a.name, n, what)
		}
	}
	if len(d.candidates) > membership.MaxMembers {
		a.w.t.Errorf("%s: %d candidates", a.name, len(d.candidates))
	}
}

// junk is beacons from made-up processes, older and younger than all, and of made-up rings.
func (w *world) junk(expect, n int) {
	for i := range n {
		b := w.ghost(configOf(expect))
		if i%2 == 0 {
			b.From.Since = 0
		}
		r := w.ringBeacon(1 + i%membership.MaxMembers)
		for _, a := range w.peers {
			a.Beacon(w.now, b)
			if i%8 == 0 {
				a.Beacon(w.now, r)
			}
		}
	}
}

// TestJunkBeacons by the hundred every 10 ms, for as long as it takes: processes form
// a ring, and another joins it.
func TestJunkBeacons(t *testing.T) {
	for _, rings := range []bool{false, true} {
		w := newWorld(t)
		w.startAll(3, configOf(3))
		flood := func(names string) func() bool {
			return func() bool {
				for range 100 {
					b := w.ghost(configOf(3))
					if b.From.ID%2 == 0 { // older than all
						b.From.Since = -b.From.Since
					}
					for _, a := range w.peers {
						a.Beacon(w.now, b)
						if rings && b.From.ID%50 == 0 {
							a.Beacon(w.now, w.ringBeacon(64))
						}
						a.bounded()
					}
				}
				return !containsOther(w.peers, names)
			}
		}
		w.until("a ring", flood("abc"))
		w.start(configOf(3))
		w.until("a ring with one more", flood("abcd"))
	}
}

func containsOther(peers []*peer, names string) bool {
	for _, a := range peers {
		if a.members() != names {
			return true
		}
	}
	return false
}

// TestAfterJunk nothing is left of it for longer than a second or so.
func TestAfterJunk(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(3))
	w.junk(3, 1000)
	w.pass(10 * ms)
	since := w.now
	w.want("abc")
	w.took(since, 0, 5000)
}

// TestJunkLinks: whoever connects and says nothing makes room for who has more to say.
func TestJunkLinks(t *testing.T) {
	for _, in := range []bool{false, true} {
		w := newWorld(t)
		a := w.start(configOf(1))
		if in {
			w.want("a")
		}
		for range 10 * maxLinks {
			a.Connected(w.now, w.member(1472).ID)
			a.bounded()
			a.Links()
		}
		w.start(configOf(1))
		w.want("ab")
		w.pass(2 * strangerFor)
		if n := len(a.links.up); n != 1 {
			t.Errorf("in a ring %v: %d connections are kept, want one", in, n)
		}
	}
}

// TestJunkJoins: those who ask to be let in and do not come keep nobody out for long.
func TestJunkJoins(t *testing.T) {
	w := newWorld(t)
	a := w.start(configOf(1))
	w.want("a")
	ask := func(n int) {
		for range n {
			m := w.member(1472)
			a.Connected(w.now, m.ID)
			for range 3 {
				a.Letter(w.now, m.ID, membership.Letter{Kind: membership.Join, Member: m})
			}
			a.bounded()
		}
		if k := len(a.Letters()); k > 6*n {
			t.Errorf("%d letters in answer to %d", k, 3*n)
		}
		a.Links()
	}
	ask(2000)
	w.start(configOf(1))
	since := w.now
	w.want("ab")
	w.took(since, 0, 2500)
	w.pass(2 * askFor)
	if n := len(a.door.candidates); n > 0 {
		t.Errorf("%d candidates are kept", n)
	}
}

// TestACandidateThatIsReady is not dropped for others, nor after a time.
func TestACandidateThatIsReady(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(1))
	w.want("ab")
	a := w.peers[0]
	w.held = func(_, _ *peer, l membership.Letter) bool { return l.Kind == membership.Promise }
	c := w.start(configOf(1))
	w.until("a candidate", func() bool { return len(a.door.candidates) == 1 && a.door.candidates[0].admitted })
	for range 2 {
		for range membership.MaxMembers {
			m := w.member(1472)
			a.Connected(w.now, m.ID)
			a.Letter(w.now, m.ID, membership.Letter{Kind: membership.Join, Member: m})
		}
		w.now += graceFor + 1
		a.Letters()
	}
	if k := a.door.candidates[0]; k.ID != c.Self().ID || !k.admitted {
		t.Errorf("the first candidate is %+v", k)
	}
}

// TestAMemberAsks to be let in, since it does not know that it is one: it is none of the
// candidates, and is let in when the ring has noticed.
func TestAMemberAsks(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(1))
	w.want("ab")
	a := w.peers[0]
	c := w.start(configOf(1))
	lost := false
	w.held = func(_, to *peer, l membership.Letter) bool {
		lost = lost || to == c && l.Kind == membership.Install
		return to == c && l.Kind == membership.Install
	}
	w.until("a lost decision", func() bool { return lost })
	a.Letter(w.now, c.Self().ID, membership.Letter{Kind: membership.Join, Member: c.Self()})
	if len(a.door.candidates) > 0 {
		t.Error("a member is a candidate")
	}
	w.held = func(_, _ *peer, _ membership.Letter) bool { return false }
	w.want("abc")
}

// TestStrangersLetters do nothing to a process that is in no ring, and nothing to one that is.
func TestStrangersLetters(t *testing.T) {
	for _, in := range []bool{false, true} {
		w := newWorld(t)
		a := w.start(configOf(map[bool]int{false: 3, true: 1}[in]))
		if in {
			w.want("a")
		}
		x := w.member(1472)
		a.Connected(w.now, x.ID)
		views := []membership.View{
			{}, {Num: 1, Members: []membership.Member{a.Self()}}, {Num: 1, Members: []membership.Member{x}},
			{Num: 2, Ring: 5, Members: []membership.Member{a.Self(), x}}, {Num: 1, Ring: 6, Members: []membership.Member{a.Self(), x}},
			{Num: 1<<64 - 1, Ring: 7, Members: []membership.Member{x, a.Self()}},
		}
		for kind := membership.Join; kind <= membership.Gone; kind++ {
			for _, v := range views {
				l := membership.Letter{Kind: kind, View: v.Key(), Num: v.Num, Full: v, Member: x, Proposal: membership.Proposal{Next: v, Cut: []uint64{0}}, Holders: []uint8{0}}
				for _, from := range []uint64{x.ID, 999, a.Self().ID} {
					a.Letter(w.now, from, l)
				}
				a.bounded()
			}
		}
		w.pass(5000 * ms)
		if a.In() != in || in && a.members() != "a" {
			t.Errorf("in a ring: %v, want %v; %v", a.In(), in, w)
		}
	}
}

// TestOneThatOnlyInvites does not keep others from each other for ever.
func TestOneThatOnlyInvites(t *testing.T) {
	w := newWorld(t)
	liar := w.member(1472) // older than all
	w.startAll(3, configOf(3))
	w.until("a ring", func() bool {
		for _, a := range w.peers {
			if a.In() {
				continue
			}
			if !a.links.has(liar.ID) {
				a.Connected(w.now, liar.ID)
			}
			full := membership.View{Num: 1, Ring: 1, Members: []membership.Member{liar, a.Self()}}
			a.Letter(w.now, liar.ID, membership.Letter{Kind: membership.Invite, Full: full})
		}
		return !containsOther(w.peers, "abc")
	})
}

// TestAViewThatCannotBe is not entered, whoever installs it, nor tried again and again.
func TestAViewThatCannotBe(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.startAs(configOf(3), uint16(wire.MinSegment(2)))
	}
	w.pass(3000 * ms)
	if k := len(w.peers[0].members()); k != 2 {
		t.Errorf("the founder is in a view of %d, want of as many as fit into it, 2", k)
	}
	b := w.peers[2]
	full := membership.View{Num: 2, Ring: 9, Members: []membership.Member{b.Self(), b.Self()}}
	b.seek.words = append(b.seek.words, 9)
	b.Letter(w.now, b.Self().ID+1, membership.Letter{Kind: membership.Install, Proposal: membership.Proposal{Next: full}})
	if b.In() {
		t.Error("it is in")
	}
}

// FuzzProcess feeds a process whatever comes in bytes, in and out of a ring.
func FuzzProcess(f *testing.F) {
	w := newWorld(f)
	x, y := w.member(1472), w.member(1472)
	beacon := w.ringBeacon(3)
	beacon.From = x
	pair := membership.View{Num: 1, Members: []membership.Member{x, y}}
	pair.Members[0].Joined, pair.Members[1].Joined = 1, 1
	pack := func(kind byte, b []byte) []byte {
		return append(binary.LittleEndian.AppendUint16([]byte{kind}, uint16(len(b))), b...)
	}
	letters := []byte{}
	for _, l := range []membership.Letter{
		{Kind: membership.Join, Member: x}, {Kind: membership.Invite, Full: pair}, {Kind: membership.Ready, View: pair.Key(), Num: 1},
		{Kind: membership.Refuse, Text: "no"}, {Kind: membership.Install, Proposal: membership.Proposal{Next: pair}}, {Kind: membership.Gone, Num: 1},
	} {
		letters = append(letters, pack(2, l.Append(nil))...)
		f.Add(false, letters)
		f.Add(true, letters)
	}
	f.Add(true, append(pack(1, beacon.Append(nil)), letters...))
	f.Add(false, append(pack(0, beacon.Append(nil)), letters...))
	f.Fuzz(func(t *testing.T, in bool, b []byte) {
		w := newWorld(t)
		w.next = 2
		a := &peer{w: w, pool: slab.NewPool(), name: "a", linked: map[*peer]bool{}}
		self := w.member(1472)
		self.ID, self.Since = 2, 2
		cfg := configOf(map[bool]int{false: 2, true: 0}[in])
		a.Process = New(w.now, cfg, self, a.pool)
		w.peers = append(w.peers, a)
		w.pass(400 * ms)
		a.Connected(w.now, 1)
		for k := 0; len(b) >= 3 && k < 50; k++ {
			kind, size := b[0], min(int(binary.LittleEndian.Uint16(b[1:])), len(b)-3)
			a.feed(kind, b[3:3+size])
			b = b[3+size:]
			w.pass(20 * ms)
			a.bounded()
		}
		w.pass(4000 * ms)
		_ = fmt.Sprint(a.Problem())
	})
}

// feed gives a process one input.
func (a *peer) feed(kind byte, b []byte) {
	switch kind % 5 {
	case 0, 1:
		if bc, err := membership.ParseBeacon([]wire.Kind{wire.Here, wire.Ring}[kind%5], b); err == nil {
			a.Beacon(a.w.now, bc)
		}
	case 2:
		if l, err := membership.ParseLetter(b); err == nil && l.Kind != membership.WantState && l.Kind != membership.State {
			a.Letter(a.w.now, 1+uint64(kind/5)%3, l)
		}
	case 3:
		a.Connected(a.w.now, 1+uint64(kind/5)%3)
	case 4:
		a.Disconnected(a.w.now, 1+uint64(kind/5)%3)
	}
}

// TestGhosts that are heard all the time, older and younger than all, and cannot be
// reached, keep nobody from the others for long.
func TestGhosts(t *testing.T) {
	w := newWorld(t)
	ghosts := []membership.Beacon{w.ringBeacon(9), w.ringBeacon(8)}
	for range 50 {
		ghosts = append(ghosts, w.ghost(configOf(3)))
	}
	w.startAll(3, configOf(3))
	for range 50 {
		ghosts = append(ghosts, w.ghost(configOf(3)))
	}
	since := w.now
	w.until("a ring", func() bool {
		for _, b := range ghosts {
			for _, a := range w.peers {
				a.Beacon(w.now, b)
			}
		}
		return !containsOther(w.peers, "abc")
	})
	w.took(since, 0, (waitFor+attemptFor)/ms+1000)
}
