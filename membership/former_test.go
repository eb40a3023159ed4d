package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cohort/wire"

	"pgregory.net/rapid"
)

const (
	ms  = int64(1_000_000)
	sec = 1000 * ms
)

// fabric is a network of Formers that share a medium: what one says, all others
// may hear, late, repeatedly, in another order, or not at all.
type fabric struct {
	t     failer
	now   int64
	nodes []*peer
	air   []flight
	faults
	rand *rand.Rand
	log  []string // who said what to all, for people
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// faults end at until; the rates are per beacon and hearer, out of 100.
type faults struct {
	until       int64
	loss, twice int
	delay       int64 // ns, at most
	drop        func(from, to int, b Beacon) bool
}

type peer struct {
	*Former
	starts int64
	dead   bool
	formed View
}

type flight struct {
	at   int64
	to   int
	kind wire.Kind
	body []byte
}

// newFabric has a node for each start, the ID counting from 1: the first to start
// is the oldest.
func newFabric(t failer, expect int, starts ...int64) *fabric {
	f := &fabric{t: t, rand: rand.New(rand.NewPCG(1, 2))}
	for i, at := range starts {
		f.nodes = append(f.nodes, &peer{Former: NewFormer(at, person(uint64(i+1), at), expect), starts: at})
	}
	return f
}

// run lets a time pass.
func (f *fabric) run(d int64) {
	f.t.Helper()
	for end := f.now + d; f.now < end; f.now += ms {
		f.hear()
		for i, p := range f.nodes {
			if p.dead || f.now < p.starts || p.Due() > f.now {
				continue
			}
			for _, b := range p.Step(f.now) {
				f.say(i, b)
			}
			f.note(p)
		}
	}
}

// note checks that a view, once formed, stays.
func (f *fabric) note(p *peer) {
	f.t.Helper()
	v, ok := p.View()
	switch {
	case p.formed.Num > 0 && (!ok || v.Key() != p.formed.Key()):
		f.t.Fatalf("a node that had formed %v now has %v", p.formed, v)
	case ok && v.Validate() != nil:
		f.t.Fatalf("formed: %v", v.Validate())
	case ok:
		p.formed = v
	}
}

func (f *fabric) hear() {
	for i := 0; i < len(f.air); {
		fl := f.air[i]
		if fl.at > f.now {
			i++
			continue
		}
		f.air = slices.Delete(f.air, i, i+1)
		p := f.nodes[fl.to]
		if p.dead || f.now < p.starts {
			continue
		}
		b, err := ParseBeacon(fl.kind, fl.body)
		if err != nil {
			f.t.Fatalf("a beacon was not understood: %v", err)
		}
		p.Receive(f.now, b)
		for _, b := range p.Step(f.now) {
			f.say(fl.to, b)
		}
		f.note(p)
	}
}

func (f *fabric) say(from int, b Beacon) {
	f.log = append(f.log, fmt.Sprintf("%d ms: %d says %d %v", f.now/ms, from+1, b.Kind, ids(b.View)))
	body := b.Append(nil)
	for to := range f.nodes {
		if to == from || f.drop != nil && f.drop(from, to, b) {
			continue
		}
		copies, delay := 1, int64(0)
		if f.now < f.until {
			if f.rand.IntN(100) < f.loss {
				continue
			}
			if f.rand.IntN(100) < f.twice {
				copies = 2
			}
			delay = f.delay
		}
		for range copies {
			f.air = append(f.air, flight{f.now + ms/2 + f.rand.Int64N(delay+1), to, b.Kind, body})
		}
	}
}

func ids(v View) (all []uint64) {
	for _, m := range v.Members {
		all = append(all, m.ID)
	}
	return all
}

// formed returns the view that the nodes with these IDs have formed, all the same.
func (f *fabric) formed(nodes ...uint64) View {
	f.t.Helper()
	first := f.nodes[nodes[0]-1].formed
	for _, id := range nodes {
		switch v := f.nodes[id-1].formed; {
		case v.Num == 0:
			f.t.Fatalf("node %d has formed no view after %d ms: %v", id, f.now/ms, f.nodes[id-1].Problem())
		case v.Key() != first.Key():
			f.t.Fatalf("node %d has formed %v, node %d %v", nodes[0], ids(first), id, ids(v))
		}
	}
	return first
}

// problem asserts that a node has formed no view and says why.
func (f *fabric) problem(id uint64, want ...string) {
	f.t.Helper()
	if v, ok := f.nodes[id-1].View(); ok {
		f.t.Fatalf("node %d has formed %v", id, ids(v))
	}
	err := f.nodes[id-1].Problem()
	for _, part := range want {
		if err == nil || !strings.Contains(err.Error(), part) {
			f.t.Fatalf("node %d says %v, want it to say %q", id, err, part)
		}
	}
}

// drawFaults draws a bad network that becomes good in the end.
func (f *fabric) drawFaults(t *rapid.T) {
	f.faults = faults{
		until: rapid.Int64Range(0, 4000).Draw(t, "faults until, ms") * ms,
		loss:  rapid.IntRange(0, 70).Draw(t, "loss, %"), twice: rapid.IntRange(0, 30).Draw(t, "duplication, %"),
		delay: rapid.Int64Range(0, 300).Draw(t, "delay, ms") * ms,
	}
	f.rand = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	cuts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) cut {
		return cut{
			rapid.IntRange(0, len(f.nodes)-1).Draw(t, "from"), rapid.IntRange(0, len(f.nodes)-1).Draw(t, "to"),
			rapid.Int64Range(0, 4000).Draw(t, "until, ms") * ms,
		}
	}), 0, 2*len(f.nodes)).Draw(t, "cut links")
	f.drop = func(from, to int, _ Beacon) bool {
		return slices.ContainsFunc(cuts, func(c cut) bool { return c.from == from && c.to == to && f.now < c.until })
	}
}

// cut is a link that does not work, in one direction, until a time.
type cut struct {
	from, to int
	until    int64
}

func drawStarts(t *rapid.T, n int) (starts []int64) {
	for range n {
		starts = append(starts, rapid.Int64Range(0, 1500).Draw(t, "start, ms")*ms)
	}
	return starts
}

// TestEveryoneExpectedFormsOneView, whatever the network does at first.
func TestEveryoneExpectedFormsOneView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		f := newFabric(t, n, drawStarts(t, n)...)
		f.drawFaults(t)
		f.run(12 * sec)
		var all []uint64
		for i := range f.nodes {
			all = append(all, uint64(i+1))
		}
		if v := f.formed(all...); len(v.Members) != n || v.Num != 1 {
			t.Fatalf("formed view %d of %v, want view 1 of %d members", v.Num, ids(v), n)
		}
	})
}

// TestOneTooMany: of n+1 nodes that expect n, n form one view, and the odd one
// is told.
func TestOneTooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "n")
		f := newFabric(t, n, drawStarts(t, n+1)...)
		f.drawFaults(t)
		f.run(15 * sec)
		f.oneIsLeftOver(n)
	})
}

// oneIsLeftOver asserts that n nodes have formed the same view of themselves and
// the others have been told.
func (f *fabric) oneIsLeftOver(n int) {
	f.t.Helper()
	var in, out []uint64
	for i, p := range f.nodes {
		if p.formed.Num > 0 {
			in = append(in, uint64(i+1))
		} else {
			out = append(out, uint64(i+1))
		}
	}
	if len(in) == 0 {
		f.t.Fatalf("no view has formed: %v", f.nodes[0].Problem())
	}
	members := ids(f.formed(in...))
	slices.Sort(members)
	if !slices.Equal(members, in) || len(in) != n {
		f.t.Fatalf("nodes %v have formed a view of %v, expecting %d", in, members, n)
	}
	for _, id := range out {
		f.problem(id, "without this node", fmt.Sprintf("of %d members", n))
	}
}

func TestAloneAtOnce(t *testing.T) {
	f := newFabric(t, 1, 0)
	f.run(2 * ms)
	if v := f.formed(1); len(v.Members) != 1 {
		t.Errorf("formed %v", ids(v))
	}
}

// TestThreeFormQuickly: on a good network no timer but that of the beacons is
// waited for.
func TestThreeFormQuickly(t *testing.T) {
	f := newFabric(t, 3, 0, 5*ms, 10*ms)
	f.run(100 * ms)
	if v := f.formed(1, 2, 3); !slices.Equal(ids(v), []uint64{1, 2, 3}) {
		t.Errorf("formed %v, want the oldest first", ids(v))
	}
	said := len(f.log)
	f.run(5 * sec)
	if len(f.log) != said {
		t.Errorf("said when all was settled: %v", f.log[said:])
	}
}

func TestTooFew(t *testing.T) {
	f := newFabric(t, 3, 0, 0)
	f.run(5 * sec)
	f.problem(1, "2 of 3 expected members", "node1", "node2")
	f.problem(2, "2 of 3 expected members", "node1", "node2")
}

func TestDifferentExpectations(t *testing.T) {
	f := newFabric(t, 2, 0, 0)
	f.nodes[1].Former = NewFormer(0, person(2, 0), 3)
	f.run(sec)
	f.problem(1, "node2 at 10.0.0.2:7000 expects 3 members, this node 2")
	f.problem(2, "node1 at 10.0.0.1:7000 expects 2 members, this node 3")
}

// TestProposerDies before it hears that all agree: the others start over with a
// fourth that comes later.
func TestProposerDies(t *testing.T) {
	f := newFabric(t, 3, 0, ms, 2*ms, 500*ms)
	f.drop = func(from, to int, b Beacon) bool { return b.Kind == wire.Accept && to == 0 }
	f.run(100 * ms)
	if f.nodes[1].accepted.Num == 0 {
		t.Fatal("node 2 has not accepted anything: the story has not begun")
	}
	f.nodes[0].dead = true
	f.run(8 * sec)
	if v := f.formed(2, 3, 4); !slices.Equal(ids(v), []uint64{2, 3, 4}) {
		t.Errorf("formed %v, want [2 3 4]", ids(v))
	}
}

// TestMemberDies before it agrees: the oldest withdraws its proposal and makes
// another with a fourth.
func TestMemberDies(t *testing.T) {
	f := newFabric(t, 3, 0, ms, 2*ms, 500*ms)
	f.drop = func(from, to int, b Beacon) bool { return from == 2 && b.Kind == wire.Accept }
	f.run(100 * ms)
	f.nodes[2].dead = true
	f.run(8 * sec)
	if v := f.formed(1, 2, 4); !slices.Equal(ids(v), []uint64{1, 2, 4}) {
		t.Errorf("formed %v, want [1 2 4]", ids(v))
	}
}

// TestLostInstall: the node that did not hear that all agreed asks by repeating
// its agreement, and is told.
func TestLostInstall(t *testing.T) {
	f := newFabric(t, 3, 0, 0, 0)
	lost := 0
	f.drop = func(from, to int, b Beacon) bool {
		if b.Kind == wire.Install && to == 2 && lost < 5 {
			lost++
			return true
		}
		return false
	}
	f.run(sec)
	if lost != 5 {
		t.Fatalf("%d Installs were lost, want 5: the story has not happened", lost)
	}
	f.formed(1, 2, 3)
}

// TestLateNode comes when all is settled, and is told.
func TestLateNode(t *testing.T) {
	f := newFabric(t, 2, 0, 0, sec)
	f.run(sec + 100*ms)
	f.formed(1, 2)
	f.problem(3, "without this node", "of 2 members", "node1")
}

// TestLateNodeDoesNotHideALostInstall: the answer to an outsider goes to all, and
// must not mislead a member that still waits for its own.
func TestLateNodeDoesNotHideALostInstall(t *testing.T) {
	f := newFabric(t, 2, 0, 0, 0)
	f.drop = func(from, to int, b Beacon) bool { return b.Kind == wire.Install && to == 1 }
	f.run(sec)
	f.formed(1, 2)
}

// kinds lists what a step says.
func kinds(said []Beacon) (all []wire.Kind) {
	for _, b := range said {
		all = append(all, b.Kind)
	}
	return all
}

// TestAWordIsKept: a node that has agreed to one proposal agrees to no other
// proposer's while the first may still count on it, however old beacons come in
// between; after that it does.
func TestAWordIsKept(t *testing.T) {
	a, b, c := person(1, 1), person(2, 2), person(3, 3)
	f := NewFormer(0, c, 2)
	propose := func(from Member) Beacon {
		return Beacon{Kind: wire.Propose, From: from, Expect: 2, View: viewOf(1, from, c)}
	}
	agreesTo := func(now int64, want Member) {
		t.Helper()
		if said := f.Step(now); len(said) != 1 || said[0].Kind != wire.Accept || said[0].View.Members[0] != want {
			t.Fatalf("at %d ms says %v to %v, want to agree with %s", now/ms, kinds(said), said, want.Name)
		}
	}
	f.Receive(0, propose(b))
	agreesTo(0, b)
	f.Receive(30*ms, Beacon{Kind: wire.Hello, From: b, Expect: 2}) // said before it proposed
	f.Receive(30*ms, propose(a))
	agreesTo(30*ms, b)
	if said := f.Step(attemptFor + 20*ms); !slices.Equal(kinds(said), []wire.Kind{wire.Hello}) {
		t.Fatalf("says %v when no attempt of the proposer can be on any more", kinds(said))
	}
	f.Receive(forgetAfter, propose(a))
	if said := f.Step(forgetAfter + ms); slices.Contains(kinds(said), wire.Accept) {
		t.Fatal("agrees with another proposer while its word stands")
	}
	f.Receive(forgetAfter+2*ms, propose(a))
	agreesTo(forgetAfter+2*ms, a)
}

// TestAProposerMayChangeItsMind: who has its word may propose another view.
func TestAProposerMayChangeItsMind(t *testing.T) {
	a, b, c := person(1, 1), person(2, 2), person(3, 3)
	f := NewFormer(0, c, 2)
	f.Receive(0, Beacon{Kind: wire.Propose, From: a, Expect: 2, View: viewOf(1, a, b, c)})
	f.Receive(ms, Beacon{Kind: wire.Propose, From: a, Expect: 2, View: viewOf(1, a, c)})
	if said := f.Step(ms); len(said) != 1 || len(said[0].View.Members) != 2 {
		t.Fatalf("says %v, want to agree to the later view", said)
	}
}
