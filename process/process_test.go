package process

import (
	"slices"
	"strings"
	"testing"

	"cohort/membership"
	"cohort/site"
	"cohort/wire"
)

// problem waits until a process has a problem that says this.
func (a *peer) problem(words ...string) {
	a.w.t.Helper()
	a.w.until("a problem", func() bool {
		p := a.Problem()
		return p != nil && !slices.ContainsFunc(words, func(s string) bool { return !strings.Contains(p.Error(), s) })
	})
}

// TestAlone: a process that expects nobody and hears nobody is in a ring soon.
func TestAlone(t *testing.T) {
	w := newWorld(t)
	a := w.start(configOf(0))
	since := w.now
	w.want("a")
	w.took(since, DefaultDiscovery/ms, DefaultDiscovery/ms+30)
	if len(a.changes) != 1 || len(a.changes[0].Old.Members) != 0 || len(a.changes[0].Next.Members) != 1 {
		t.Errorf("changes %+v, want that it has entered a ring", a.changes)
	}
}

// TestAllThatAreExpected form a view at once.
func TestAllThatAreExpected(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(3))
	since := w.now
	w.want("abc")
	w.took(since, 60, 200)
	for _, a := range w.peers {
		if v := a.Site().View(); v.Num != 1 || v.Ring != v.Key() || v.Founded != w.peers[0].Self().Since {
			t.Errorf("%s is in %+v", a.name, v)
		}
	}
}

// TestAMajority forms a view when the rest has had time to come; who comes later joins.
func TestAMajority(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(3))
	since := w.now
	w.want("ab")
	w.took(since, graceFor/ms, graceFor/ms+200)
	w.start(configOf(3))
	w.want("abc")
}

// TestAMinority forms none, and says who is missing.
func TestAMinority(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(4))
	w.pass(5000 * ms)
	for _, a := range w.peers {
		if a.In() {
			t.Errorf("%s is in a view of %s", a.name, a.members())
		}
		a.problem("2 of 4 expected", "a", "b")
	}
}

// TestTheyDisagree on how many there are to be.
func TestTheyDisagree(t *testing.T) {
	w := newWorld(t)
	w.start(configOf(2))
	w.start(configOf(3))
	w.pass(2000 * ms)
	for i, a := range w.peers {
		if a.In() {
			t.Errorf("%s is in a view of %s", a.name, a.members())
		}
		a.problem([]string{"b at", "a at"}[i], "expects")
	}
}

// TestFounderDies at every letter that it has sent in forming the view: the others
// form one without it. Whoever is in its view has told the others.
func TestFounderDies(t *testing.T) {
	for _, kind := range []membership.LetterKind{membership.Invite, membership.Ready, membership.Install} {
		for _, nth := range []int{1, 2, 3} {
			w := newWorld(t)
			w.startAll(4, configOf(4))
			a, count := w.peers[0], 0
			w.held = func(from, to *peer, l membership.Letter) bool {
				if l.Kind == kind && (from == a || to == a) {
					if count++; count == nth {
						a.dead = true
					}
				}
				return from.dead || to.dead
			}
			w.until("its death", func() bool { return a.dead })
			a.unlinkAll()
			since := w.now
			w.want("bcd")
			w.took(since, 0, 3000)
		}
	}
}

// TestOneDoesNotGetReady: the others form the view without it after one attempt, and
// it joins once it can.
func TestOneDoesNotGetReady(t *testing.T) {
	w := newWorld(t)
	w.startAll(4, configOf(4))
	b := w.peers[1]
	w.held = func(from, _ *peer, l membership.Letter) bool { return from == b && l.Kind == membership.Ready }
	since := w.now
	w.until("a view", func() bool { return w.peers[0].members() == "acd" })
	w.took(since, attemptFor/ms, attemptFor/ms+300)
	w.held = func(_, _ *peer, _ membership.Letter) bool { return false }
	w.want("acdb")
}

// TestOneCannotBeReached by anybody: it is said who, where the others are too few.
func TestOneCannotBeReached(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(2))
	b := w.peers[1]
	w.cut = func(x, y *peer) bool { return x == b || y == b }
	w.peers[0].problem("b at", "did not connect")
	w.cut = func(_, _ *peer) bool { return false }
	w.want("ab")
}

// TestThoseWhoStayConnected from an attempt that failed are invited to the next.
func TestThoseWhoStayConnected(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(4))
	ghost := w.ghost(Config{Expect: 4})
	w.ghosts(ghost, 1500*ms) // heard, and not to be reached
	w.start(configOf(4))
	since := w.now
	w.want("abc")
	w.took(since, 0, attemptFor/ms+graceFor/ms+200)
}

// TestTheOldestHearsNobody, but is heard: it is not waited for for ever.
func TestTheOldestHearsNobody(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(3))
	a := w.peers[0]
	w.deaf = func(_, to *peer) bool { return to == a }
	since := w.now
	w.until("a view", func() bool { return w.peers[1].members() == "bc" && w.peers[2].members() == "bc" })
	w.took(since, waitFor/ms, waitFor/ms+500)
}

// TestTwoFounders: two who do not hear each other both begin, and the older prevails.
func TestTwoFounders(t *testing.T) {
	w := newWorld(t)
	w.startAll(4, configOf(4))
	a, b := w.peers[0], w.peers[1]
	w.deaf = func(from, to *peer) bool { return from == a && to == b }
	w.want("abcd")
	if v := a.Site().View(); v.Num != 1 {
		t.Errorf("in view %d, want the first", v.Num)
	}
}

// TestLateComersJoin one after the other and all at once.
func TestLateComersJoin(t *testing.T) {
	w := newWorld(t)
	w.start(configOf(0))
	w.want("a")
	w.start(configOf(0))
	w.want("ab")
	for range 5 {
		w.start(configOf(0))
	}
	w.until("a view of all", func() bool {
		return !slices.ContainsFunc(w.peers, func(a *peer) bool { return len(a.members()) != 7 })
	})
}

// TestTheLeaderChanges while one joins, at every letter: it gets into the same ring,
// and forms none of its own.
func TestTheLeaderChanges(t *testing.T) {
	for _, kind := range []membership.LetterKind{membership.Join, membership.Invite, membership.Ready, membership.Install} {
		w := newWorld(t)
		w.startAll(3, configOf(0))
		w.want("abc")
		a := w.peers[0]
		d := w.start(configOf(0))
		w.held = func(from, to *peer, l membership.Letter) bool {
			if l.Kind == kind && (from == a && to == d || from == d && to == a) {
				a.dead = true
			}
			return from.dead || to.dead
		}
		w.until("the leader's death", func() bool { return a.dead })
		a.unlinkAll()
		w.want("bcd")
		for _, c := range d.changes {
			if c.Next.Num == 1 {
				t.Errorf("%v: it has formed a ring of its own", kind)
			}
		}
	}
}

// TestRefusals: why a process is not let in is its problem, and it does not form a
// ring of its own beside the one that is there.
func TestRefusals(t *testing.T) {
	lone := configOf(0)
	lone.Site.Rules.Lone = true
	small := uint16(wire.MinSegment(1))
	for _, c := range []struct {
		words   string
		n       int
		cfg     Config
		segment uint16
	}{
		{"without a majority", 1, lone, 1472},
		{"too small for 2 members", 1, configOf(0), small},
	} {
		w := newWorld(t)
		w.startAll(c.n, configOf(0))
		w.until("a ring", w.peers[0].In)
		late := w.startAs(c.cfg, c.segment)
		late.problem("refused", c.words)
		w.pass(4000 * ms)
		if late.In() {
			t.Errorf("%s: it is in %s", c.words, late.members())
		}
		late.problem("refused", c.words)
		w.peers[0].die()
		w.until("a ring of its own, once the other is gone", late.In)
	}
}

// TestTheRingIsFull.
func TestTheRingIsFull(t *testing.T) {
	w := newWorld(t)
	v := membership.View{Num: 1}
	for range membership.MaxMembers {
		m := w.member(1472)
		m.Joined = 1
		v.Members = append(v.Members, m)
	}
	a := &peer{w: w}
	p := New(w.now, configOf(0), v.Members[0], nil)
	p.seek.found = &founding{view: v}
	p.enter(w.now, v.Members[0].ID, membership.Letter{Proposal: membership.Proposal{Next: v}})
	a.Process = p
	late := w.member(1472)
	p.Connected(w.now, late.ID)
	p.Letters()
	p.Letter(w.now, late.ID, membership.Letter{Kind: membership.Join, Member: late})
	if l := p.Letters(); len(l) != 1 || l[0].Kind != membership.Refuse || !strings.Contains(l[0].Text, "full: 64") {
		t.Errorf("%+v", l)
	}
}

// TestTooSmallForAllAtOnce: one more would do, and both of those who are ready would
// not. One waits for the next view, which says that it is full.
func TestTooSmallForAllAtOnce(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.startAs(configOf(0), uint16(wire.MinSegment(2)))
	}
	a, b, c := w.peers[0], w.peers[1], w.peers[2]
	w.deaf = func(x, y *peer) bool { return x != a && x.Site() == nil && y != a }
	w.until("a view of two", func() bool { return len(a.members()) == 2 })
	w.pass(1000 * ms)
	if len(a.members()) != 2 || b.In() == c.In() {
		t.Errorf("%v", w)
	}
}

// TestTwoRingsMeet: the lesser asks first, and then dissolves into the other.
func TestTwoRingsMeet(t *testing.T) {
	w := newWorld(t)
	w.startAll(5, configOf(0))
	ring := func(a *peer) bool { return a.name <= "b" }
	w.deaf = func(a, b *peer) bool { return ring(a) != ring(b) }
	a, c := w.peers[0], w.peers[2]
	w.until("two rings", func() bool { return a.members() == "ab" && c.members() == "cde" })
	asked := false
	w.held = func(from, to *peer, l membership.Letter) bool {
		if l.Kind == membership.Prepare && from == a && !asked {
			t.Error("it dissolves before it has asked")
		}
		asked = asked || l.Kind == membership.Invite && to == a
		return false
	}
	w.deaf = func(_, _ *peer) bool { return false }
	w.until("one ring", func() bool { return len(a.members()) == 5 && len(c.members()) == 5 })
	i := slices.IndexFunc(a.changes, func(c site.Change) bool { return c.Out })
	if i < 0 || a.changes[i].Why != membership.Merged || slices.ContainsFunc(c.changes, func(c site.Change) bool { return c.Out }) {
		t.Errorf("changes %+v", a.changes)
	}
}

// TestABeaconEndsNoRing: whoever says that there is a larger one is asked, and does not answer.
func TestABeaconEndsNoRing(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(0))
	w.want("abc")
	num := w.peers[0].Site().View().Num
	for range 20 {
		for _, a := range w.peers {
			a.Beacon(w.now, w.ringBeacon(60))
		}
		w.pass(200 * ms)
	}
	for _, a := range w.peers {
		if a.Site().View().Num != num {
			t.Errorf("%s is in view %d, want %d", a.name, a.Site().View().Num, num)
		}
	}
}

// ringBeacon is what the leader of a ring of this many members says who is not there.
func (w *world) ringBeacon(size int) membership.Beacon {
	m := w.member(1472)
	return membership.Beacon{Kind: wire.Ring, From: m, Ring: m.ID, Num: 1, Key: m.ID, Size: size}
}

// TestAnInvitationThatIsNone ends no ring either: it must be of the ring that was
// heard, and have both in it.
func TestAnInvitationThatIsNone(t *testing.T) {
	for _, what := range []string{"another ring", "without the asker", "without its sender"} {
		w := newWorld(t)
		a := w.start(configOf(0))
		w.want("a")
		b := w.ringBeacon(3)
		a.Beacon(w.now, b)
		w.now += mergeEvery
		a.Flush(w.now)
		a.Connected(w.now, b.From.ID)
		full := membership.View{Ring: b.Ring, Num: 2, Members: []membership.Member{b.From, a.Self()}}
		switch what {
		case "another ring":
			full.Ring++
		case "without the asker":
			full.Members = full.Members[:1]
		case "without its sender":
			full.Members = full.Members[1:]
		}
		if l := a.Letters(); len(l) != 1 || l[0].Kind != membership.Join {
			t.Fatalf("it sends %+v, want that it asks", l)
		}
		a.Letter(w.now, b.From.ID, membership.Letter{Kind: membership.Invite, Full: full})
		a.turn()
		if !a.In() {
			t.Errorf("%s: out", what)
		}
	}
}

// TestALargerRingThatDoesNotAnswer does not keep two others from each other.
func TestALargerRingThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(0))
	w.deaf = func(_, _ *peer) bool { return true }
	w.until("two rings", func() bool { return w.peers[0].In() && w.peers[1].In() })
	w.deaf = func(_, _ *peer) bool { return false }
	ghost := w.ringBeacon(60)
	since := w.now
	for w.peers[0].members() != "ab" || w.peers[1].members() != "ab" {
		for _, a := range w.peers {
			a.Beacon(w.now, ghost)
		}
		w.pass(100 * ms)
		if w.now-since > 10_000*ms {
			t.Fatalf("apart for 10 s: %v", w)
		}
	}
}

// TestTheBlocked: who cannot go on waits, and is in the ring again once that is reached.
func TestTheBlocked(t *testing.T) {
	w := newWorld(t)
	w.startAll(5, configOf(0))
	w.until("a ring", func() bool { return len(w.peers[0].members()) == 5 })
	part := func(a *peer) bool { return a.name >= "d" }
	w.deaf = func(a, b *peer) bool { return part(a) != part(b) }
	w.cut = w.deaf
	for _, a := range w.peers {
		for _, b := range w.peers {
			if a.linked[b] && part(a) != part(b) {
				a.unlink(b)
				a.Disconnected(w.now, b.Self().ID)
			}
		}
	}
	d := w.peers[3]
	w.until("the larger part to go on", func() bool { return w.peers[0].members() == "abc" })
	w.pass(3000 * ms)
	if !d.Blocked() || !w.peers[4].Blocked() {
		t.Fatalf("not blocked: %v", w)
	}
	w.deaf = func(_, _ *peer) bool { return false }
	w.cut = w.deaf
	w.until("all in one ring", func() bool { return len(w.peers[0].members()) == 5 && len(d.members()) == 5 })
}

// TestBlockedForLongEnough: who cannot go on gives up only when another ring lets it
// in, and not before its own might have healed, as counted from when it was blocked
// this time.
func TestBlockedForLongEnough(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(0))
	w.want("ab")
	b := w.peers[1]
	w.peers[0].die()
	b.turn()
	if !b.Blocked() {
		t.Fatal("not blocked")
	}
	since := w.now
	ring := w.ringBeacon(3)
	b.Connected(w.now, ring.From.ID)
	asked := func() bool { return b.merge.with == ring.From.ID }
	w.until("it to ask", func() bool { b.Beacon(w.now, ring); return asked() })
	w.took(since, 2*200, 2*200+100)
	w.pass(1000 * ms)
	if b.Out() || !b.Blocked() {
		t.Fatal("it gives up though nobody has let it in")
	}
	w.until("it to ask again", func() bool { b.Beacon(w.now, ring); return asked() })
	full := membership.View{Ring: ring.Ring, Num: 2, Members: []membership.Member{ring.From, b.Self()}}
	b.Letter(w.now, ring.From.ID, membership.Letter{Kind: membership.Invite, Full: full})
	w.pass(10 * ms)
	if c := b.changes[len(b.changes)-1]; !c.Out {
		t.Errorf("it does not give up though it is let in: %+v", c)
	}
	var m merge
	for now, blocked := range []bool{1: true, 2: true, 3: false, 4: true, 5: true} {
		m.watch(int64(now), blocked)
	}
	if m.blocked != 4 {
		t.Errorf("blocked since %d, want since the last time, 4", m.blocked)
	}
}

// TestNobodyLeftHasTheRest of a view that one member alone goes on from: it lets nobody in,
// ends no other ring, and gives way to one.
func TestNobodyLeftHasTheRest(t *testing.T) {
	w := newWorld(t)
	w.startAll(4, configOf(0))
	apart := func(a *peer) bool { return a.name == "d" }
	w.deaf = func(a, b *peer) bool { return apart(a) != apart(b) }
	c, d := w.peers[2], w.peers[3]
	w.until("two rings", func() bool { return c.members() == "abc" && d.members() == "d" })
	v := c.Site().View()
	next := membership.View{Ring: v.Ring, Founded: v.Founded, Num: v.Num + 1, Members: v.Members[2:]}
	c.Letter(w.now, v.Members[0].ID, membership.Letter{
		Kind: membership.Install, View: v.Key(), Num: v.Num, Holders: make([]uint8, 3),
		Proposal: membership.Proposal{Next: next, Cut: []uint64{1, 0, 0}, Gone: []membership.Departure{{Rank: 0, Reason: membership.Left}, {Rank: 1, Reason: membership.Left}}},
	})
	w.peers[0].die()
	w.peers[1].die()
	w.pass(2000 * ms)
	w.deaf = func(_, _ *peer) bool { return false }
	w.want("dc")
	if slices.ContainsFunc(d.changes, func(c site.Change) bool { return c.Out }) {
		t.Errorf("the ring that can go on has ended: %+v", d.changes)
	}
}

// TestReborn forgets everything but whom it has heard of rings.
func TestReborn(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(0))
	w.want("ab")
	a := w.peers[0]
	a.Leave(w.now)
	a.Beacon(w.now, w.ringBeacon(2))
	a.reborn()
	if a.In() || a.Out() || a.Self().ID != w.next || a.Self().Joined != 0 || a.leaving || len(a.links.up) > 0 || a.merge != (merge{}) {
		t.Errorf("%+v", a.Process)
	}
	if len(a.Letters())+len(a.Links())+len(a.Beacons()) > 0 {
		t.Error("something of its former life is sent")
	}
}

// TestLeave: who leaves is out, and knows why.
func TestLeave(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(0))
	w.want("abc")
	a := w.peers[0]
	a.Leave(w.now)
	w.until("out", a.Out)
	if c := a.changes[len(a.changes)-1]; !c.Out || c.Why != membership.Left {
		t.Errorf("%+v", c)
	}
	a.die()
	w.want("bc")
}

// TestAFounderThatStoodStill until the others had given up: what they said meanwhile is
// no word of theirs any more. Else, with one process on both sides of a cut, each side would have
// a majority of the first view that it is in.
func TestAFounderThatStoodStill(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(5))
	a, x, y := w.peers[0], w.peers[1], w.peers[2]
	type word struct {
		from uint64
		l    membership.Letter
	}
	var words []word
	w.held = func(from, to *peer, l membership.Letter) bool {
		if to == a && l.Kind == membership.Ready {
			words = append(words, word{from.Self().ID, l})
		}
		return to == a
	}
	w.until("two words", func() bool { return len(words) == 2 })
	a.dead = true // it stands still, and stays connected
	b := w.start(configOf(5))
	w.start(configOf(5))
	near := func(p *peer) bool { return p == a || p == y }
	apart := func(p, q *peer) bool { return near(p) != near(q) }
	w.deaf, w.cut = apart, apart
	w.until("a ring of the others", func() bool { return x.In() })
	if names := x.members(); names != "bde" {
		t.Fatalf("a first view of %s, want of those who hear each other", names)
	}
	w.held = func(_, _ *peer, _ membership.Letter) bool { return false }
	a.dead = false
	for range 2 { // each was asked twice, and so has said it twice
		for _, k := range words {
			a.Letter(w.now, k.from, k.l)
		}
		a.turn()
	}
	w.pass(3000 * ms)
	if a.In() || y.In() {
		t.Errorf("two rings of majorities: of %s and of %s", a.members(), b.members())
	}
	w.deaf, w.cut = func(_, _ *peer) bool { return false }, func(_, _ *peer) bool { return false }
	w.until("one ring of all", func() bool { return len(b.members()) == 5 && a.members() == b.members() && y.members() == b.members() })
}

// TestTheLastWordIsKept: to a founder that begins again and again a process gives its word
// only as long as it can keep it for a whole attempt.
func TestTheLastWordIsKept(t *testing.T) {
	w := newWorld(t)
	f := w.member(1472) // older
	a := w.start(configOf(3))
	a.Connected(w.now, f.ID)
	last, n := int64(0), uint64(0)
	for s, _ := a.Stage(); last == 0 || s == Invited; s, _ = a.Stage() {
		n++
		full := membership.View{Num: 1, Ring: n, Members: []membership.Member{f, a.Self()}}
		a.Letter(w.now, f.ID, membership.Letter{Kind: membership.Invite, Full: full})
		for _, l := range a.Letters() {
			if l.Kind == membership.Ready {
				last = w.now
			}
		}
		w.now += 10 * ms
		a.Flush(w.now)
		if w.now > 20_000*ms {
			t.Fatal("it is bound for ever")
		}
	}
	if d := w.now - last; d < attemptFor {
		t.Errorf("it is free %d ms after its last word", d/ms)
	}
}

// TestAnInvitationThatComesTooLate: a ring that could not go on when it asked another one
// to let it in, and can again, does not give way to a lesser one.
func TestAnInvitationThatComesTooLate(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(3))
	w.want("abc")
	a, ring := w.peers[0], w.peers[0].Site().View().Ring
	apart := func(p, q *peer) bool { return p != q }
	w.deaf, w.cut = apart, apart
	for _, p := range w.peers {
		p.unlinkAll()
	}
	x := w.start(configOf(0))
	w.until("a ring of its own, and a block", func() bool { return x.members() == "d" && a.Blocked() })
	var invitation []membership.Letter
	w.held = func(from, to *peer, l membership.Letter) bool {
		if from != x || to != a || l.Kind != membership.Invite {
			return false
		}
		invitation = append(invitation, l)
		return true
	}
	meet := func(p, q *peer) bool { return (p != a || q != x) && (p != x || q != a) }
	w.deaf, w.cut = meet, meet
	w.until("an invitation", func() bool { return len(invitation) > 0 })
	apart = func(p, q *peer) bool { return p == x || q == x }
	w.deaf, w.cut = apart, apart
	w.until("the ring again", func() bool { return a.members() == "abc" && a.Site().View().Num > 1 && !a.Blocked() })
	a.Letter(w.now, x.Self().ID, invitation[0])
	w.pass(1000 * ms)
	if a.members() != "abc" || a.Site().View().Ring != ring {
		t.Errorf("the ring has given way to a lesser one: in a view of %q", a.members())
	}
}
