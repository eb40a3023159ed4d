package session

import (
	"math/rand/v2"
	"slices"
	"testing"

	"cohort/order"

	"pgregory.net/rapid"
)

// deed is what may happen next, and how often beside the others.
type deed struct {
	weight int
	do     func(r *ring, n *node)
}

// style draws how often what happens in a run: in some, little of what is sent arrives.
func (r *ring) style() {
	pick := func(list ...int) int { return list[r.IntN(len(list))] }
	rare := pick(1, 4, 10)
	r.calm = []deed{
		{pick(4, 15, 30), (*ring).receive},
		{pick(10, 30), func(r *ring, n *node) { r.deliverUpTo(n, nil) }},
		{pick(3, 8), func(r *ring, _ *node) { r.place() }},
		{pick(5, 20), (*ring).serve},
		{pick(10, 25), func(r *ring, _ *node) { r.act(r.clients[r.IntN(len(r.clients))]) }},
		{2, (*ring).answer},
	}
	r.wild = append(slices.Clone(r.calm),
		deed{pick(0, 1, 5), func(r *ring, n *node) { r.submit(n, []order.Level{FIFO, Causal, Total}[r.IntN(3)], []byte{Own}) }},
		deed{1, func(r *ring, _ *node) {
			if r.IntN(rare) == 0 {
				r.disturb(r.clients[r.IntN(len(r.clients))])
			}
		}},
		deed{pick(0, 1, 3), func(r *ring, n *node) {
			n.member.Tick()
			r.emit(n)
		}},
		deed{pick(0, 1), func(r *ring, n *node) {
			if c := r.clients[r.IntN(len(r.clients))]; c.link != nil && !c.link.broken { // it is worth more there
				n = c.link.node
			}
			if r.IntN(6) == 0 && len(r.nodes) > 2 {
				r.crash(n)
			}
		}},
		deed{pick(0, 1), func(r *ring, _ *node) {
			if r.IntN(6) == 0 && len(r.nodes) < 6 {
				r.join()
			}
		}})
}

// step does one thing at random.
func (r *ring) step(deeds []deed) {
	sum := 0
	for _, d := range deeds {
		sum += d.weight
	}
	k := r.IntN(sum)
	for _, d := range deeds {
		if k -= d.weight; k < 0 {
			d.do(r, r.nodes[r.IntN(len(r.nodes))])
			return
		}
	}
}

// act has a client do something.
func (r *ring) act(c *clientModel) {
	switch {
	case c.gone:
	case (c.link == nil || c.link.broken) && r.IntN(4) > 0:
	case c.link == nil || c.link.broken:
		r.connect(c)
	case r.IntN(2) == 0:
		r.write(c)
	default:
		r.read(c)
	}
}

// disturb has a client lose its connection, say goodbye if it is done, or fail.
func (r *ring) disturb(c *clientModel) {
	what := ""
	switch {
	case c.gone:
	case c.sent == c.most && c.window.Empty():
		c.gone, c.bye, what = true, true, "goodbye"
	case r.IntN(50) == 0:
		c.gone, what = true, "failure of a client"
	}
	r.met[what]++
	c.drop()
}

// run plays a scenario and returns what was found wrong. met counts what happened.
func run(seed uint64, flaw string, met map[string]int) error {
	r := &ring{Rand: rand.New(rand.NewPCG(seed, 7)), flaw: flaw, met: met, left: map[uint64]int{}}
	for range 3 {
		r.join()
	}
	for id := range uint64(3) {
		newClient(r, id+1, []int{3, 30, 300}[r.IntN(3)])
	}
	r.style()
	for k := 0; k < 6000 && r.fail == nil; k++ {
		r.step(r.wild)
	}
	busy := func(c *clientModel) bool { return !c.gone && c.known && !c.window.Empty() }
	for k := 0; r.fail == nil && slices.ContainsFunc(r.clients, busy); k++ {
		if r.step(r.calm); k > 400_000 {
			r.failf("clients are not done: %v", r.clients)
		}
	}
	if r.fail == nil {
		r.flush(nil)
		r.judge()
	}
	return r.fail
}

// judge holds what the members applied against what the clients sent.
func (r *ring) judge() {
	for _, n := range r.nodes {
		last := map[uint64]uint64{}
		for _, e := range n.applied {
			if e.seq != last[e.client]+1 {
				r.failf("member %d applied message %d of client %d after %d", n.id, e.seq, e.client, last[e.client])
			}
			last[e.client] = e.seq
		}
		for _, c := range r.clients {
			if !c.gone && c.known && last[c.id] != uint64(c.sent) {
				r.failf("member %d applied %d messages of client %d, which sent %d", n.id, last[c.id], c.id, c.sent)
			}
			for seq := range c.done {
				if seq > last[c.id] {
					r.failf("member %d lost message %d of client %d, which was acknowledged", n.id, seq, c.id)
				}
			}
		}
	}
}

// TestProperties: whatever fails and moves, every member applies each client's messages
// once and in order, those that have delivered the same know the same, nothing that was
// acknowledged is lost, and what a client was shown comes before what it sends next.
func TestProperties(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		if err := run(rapid.Uint64().Draw(t, "seed"), "", met); err != nil {
			t.Fatal(err)
		}
	})
	for _, what := range []string{"crash", "join", "duplicate", "no answer", "let in", "goodbye", "failure of a client", "a client forgotten", Superseded.String(), Full.String(), Unavailable.String()} {
		if met[what] == 0 && !t.Failed() {
			t.Errorf("no run met %q", what)
		}
	}
	t.Log(met)
}

// TestFlawsAreCaught: without any one of the things that the protocol relies on, the
// properties do not hold. TestMovedClientKeepsItsPast has one more.
func TestFlawsAreCaught(t *testing.T) {
	for _, flaw := range []string{
		"forgetting waits for nobody", "acknowledged before it is safe", "a joiner gets no table", "a duplicate is applied",
	} {
		t.Run(flaw, func(t *testing.T) {
			for seed := uint64(300); seed < 1300; seed++ {
				if err := run(seed, flaw, map[string]int{}); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("not caught by 1000 seeds")
		})
	}
}
