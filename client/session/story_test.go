package session

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"cohort/order"
)

// TestMovedClientKeepsItsPast: a client is shown, by member 1, what depends on a message
// of member 3 that has not come to member 2, and goes on there. It is let in only when
// that message has come; and if the answers of the others are not waited for, what it
// sends next comes before its past.
func TestMovedClientKeepsItsPast(t *testing.T) {
	for _, flaw := range []string{"", "answers are not waited for"} {
		r := &ring{Rand: rand.New(rand.NewPCG(1, 7)), flaw: flaw, met: map[string]int{}, left: map[uint64]int{}}
		for range 3 {
			r.join()
		}
		c := newClient(r, 1, 2)
		r.settle(0, 0)
		r.connectTo(c, r.nodes[0])
		r.settle(0, 0)
		r.submit(r.nodes[2], FIFO, []byte{Own})
		r.settle(2, 3)
		r.add(c, Causal)
		r.settle(2, 3)
		if c.past[3] != 1 || !c.window.Empty() {
			t.Fatalf("the client has been shown %v, and its message is acknowledged: %v", c.past, c.window.Empty())
		}
		c.drop()
		r.connectTo(c, r.nodes[1])
		r.add(c, Causal)
		r.settle(2, 3)
		let := r.nodes[1].member.current(1) != nil
		r.settle(0, 0)
		switch {
		case flaw == "" && (let || r.fail != nil || !c.window.Empty()):
			t.Errorf("let in too early: %v; %v; its message is acknowledged in the end: %v", let, r.fail, c.window.Empty())
		case flaw != "" && r.fail == nil:
			t.Error("not caught")
		}
	}
}

// settle lets everything happen that can, but that member to receives nothing of member
// from.
func (r *ring) settle(to, from uint64) {
	for range 50 {
		for _, n := range r.nodes {
			for _, o := range r.nodes {
				if n.id != to || o.id != from {
					n.received[o.id] = len(o.stream)
				}
			}
			for r.place() || r.deliverUpTo(n, nil) {
			}
			r.serve(n)
		}
		for _, c := range r.clients {
			r.push(c)
			r.read(c)
		}
	}
}

// add has a client add a message.
func (r *ring) add(c *clientModel, level order.Level) {
	body, err := json.Marshal(payload{Past: c.past, Level: level})
	if err != nil || !c.window.Add(&Message{Level: level, Payload: body}) {
		r.failf("no room: %v", err)
	}
	c.sent++
}
