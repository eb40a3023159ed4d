package session

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"cohort/order"
)

// This file is the least of a ring: members' streams with the engine's promises and no
// others, every choice that these leave being random.

// ringMessage is a message of a member.
type ringMessage struct {
	level order.Level
	past  map[uint64]int // how many messages of each member its sender had delivered
	place int            // in the total order, from 1; 0: none yet
	data  []byte
}

// node is a member of the ring.
type node struct {
	id        uint64
	stream    []*ringMessage
	received  map[uint64]int // of each member's stream
	delivered map[uint64]int
	total     int // messages of the total order delivered
	member    *Member
	applied   []event            // what the application was given
	counts    map[uint64]int     // own messages of each member, delivered
	later     []Request          // questions not answered yet
	gate      map[*Session]*link // clients connected
}

// event is a message as the application gets it.
type event struct {
	client, seq uint64
	level       order.Level
}

// ring is a model of a group.
type ring struct {
	*rand.Rand
	nodes   []*node // by age; who has failed is taken out
	all     []*node
	placed  int
	nextID  uint64
	clients []*clientModel
	flaw    string
	met     map[string]int
	calm    []deed // what happens when nothing fails
	wild    []deed
	left    map[uint64]int // own messages of members that failed: what was not lost with them
	fail    error
}

func (r *ring) failf(format string, args ...any) {
	if r.fail == nil {
		r.fail = fmt.Errorf(format, args...)
	}
}

func (r *ring) ids() (list []uint64) {
	for _, n := range r.nodes {
		list = append(list, n.id)
	}
	return list
}

// join adds a member, with the state of another.
func (r *ring) join() {
	r.met["join"]++
	r.flush(nil)
	r.nextID++
	n := &node{id: r.nextID, received: map[uint64]int{}, delivered: map[uint64]int{}, counts: map[uint64]int{}, gate: map[*Session]*link{}}
	n.member = NewMember(maxClients, 5)
	if len(r.nodes) > 0 {
		from := r.nodes[r.IntN(len(r.nodes))]
		n.received, n.delivered, n.total = maps.Clone(from.delivered), maps.Clone(from.delivered), from.total
		n.applied = slices.Clone(from.applied)
		n.counts = maps.Clone(from.counts)
	}
	r.nodes = append(r.nodes, n)
	r.all = append(r.all, n)
	for _, o := range r.nodes {
		if o == n {
			continue
		}
		o.member.View(r.ids())
	}
	if len(r.nodes) > 1 {
		state := r.nodes[r.IntN(len(r.nodes)-1)].member.Snapshot()
		if err := n.member.Restore(state); err != nil {
			r.failf("restore: %v", err)
		}
	}
	n.member.Enter(n.id, r.ids(), len(r.nodes) == 1)
	for _, o := range r.nodes {
		r.emit(o)
	}
}

// crash takes a member out: what it sent and no survivor received is lost.
func (r *ring) crash(n *node) {
	r.met["crash"]++
	r.left[n.id] = 0
	r.nodes = slices.DeleteFunc(slices.Clone(r.nodes), func(o *node) bool { return o == n })
	r.flush(n)
	for _, l := range n.gate {
		l.broken = true
	}
	for _, o := range r.nodes {
		o.member.View(r.ids())
		r.emit(o)
	}
}

// flush ends a view: all who go on deliver the same, then compare what they have.
func (r *ring) flush(gone *node) {
	cut := map[uint64]int{}
	for _, n := range r.nodes {
		cut[n.id] = len(n.stream)
	}
	if gone != nil {
		for _, n := range r.nodes {
			cut[gone.id] = max(cut[gone.id], n.received[gone.id])
		}
		gone.stream = gone.stream[:cut[gone.id]]
		for _, m := range gone.stream {
			if m.data[0] == Own {
				r.left[gone.id]++
			}
		}
	}
	for r.place() {
	}
	r.renumber(cut)
	for _, n := range r.nodes {
		for id, k := range cut {
			n.received[id] = k
		}
	}
	for _, n := range r.nodes {
		for r.deliverUpTo(n, cut) {
		}
		for id, k := range cut {
			if n.delivered[id] != k {
				r.failf("the model is stuck: member %d has %d of %d messages of %d", n.id, n.delivered[id], k, id)
			}
		}
	}
	r.compare()
}

// renumber closes the gaps that lost messages leave in the total order, behind what
// anybody has delivered.
func (r *ring) renumber(cut map[uint64]int) {
	var list []*ringMessage
	for _, n := range r.all {
		for _, m := range n.stream[:min(len(n.stream), cut[n.id])] {
			if m.place > 0 {
				list = append(list, m)
			}
		}
		if cut[n.id] == 0 { // failed before: all of it that is left was delivered
			for _, m := range n.stream {
				if m.place > 0 {
					list = append(list, m)
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b *ringMessage) int { return a.place - b.place })
	for i, m := range list {
		m.place = i + 1
	}
	r.placed = len(list)
}

// place gives one message the next place in the total order.
func (r *ring) place() bool {
	for _, i := range r.Perm(len(r.all)) {
		for _, m := range r.all[i].stream {
			if m.level.Order() == Total && m.place == 0 {
				r.placed++
				m.place = r.placed
				return true
			}
		}
	}
	return false
}

// can tells whether a member may deliver the next message of another's stream.
func (r *ring) can(n, from *node) bool {
	k := n.delivered[from.id]
	if k >= n.received[from.id] {
		return false
	}
	m := from.stream[k]
	if m.level.Order() >= Causal {
		for id, past := range m.past {
			if id != from.id && n.delivered[id] < past {
				return false
			}
		}
	}
	if m.level.Order() == Total && m.place != n.total+1 {
		return false
	}
	if m.level.IsSafe() {
		have := 0
		for _, o := range r.nodes {
			if o.received[from.id] > k {
				have++
			}
		}
		return have > len(r.nodes)/2
	}
	return true
}

// deliverUpTo delivers one message that lies before the cut; nil: there is none.
func (r *ring) deliverUpTo(n *node, cut map[uint64]int) bool {
	for _, i := range r.Perm(len(r.all)) {
		from := r.all[i]
		if cut != nil && n.delivered[from.id] >= cut[from.id] || !r.can(n, from) {
			continue
		}
		m := from.stream[n.delivered[from.id]]
		n.delivered[from.id]++
		if m.level.Order() == Total {
			n.total++
		}
		r.handle(n, from.id, m)
		return true
	}
	return false
}

// receive has a member receive one more message of another.
func (r *ring) receive(n *node) {
	from := r.nodes[r.IntN(len(r.nodes))]
	n.received[from.id] = min(n.received[from.id]+1+r.IntN(3), len(from.stream))
}

// submit appends a message to a member's stream.
func (r *ring) submit(n *node, level order.Level, data []byte) {
	n.stream = append(n.stream, &ringMessage{level: level, past: maps.Clone(n.delivered), data: data})
	n.received[n.id] = len(n.stream)
}

// compare holds the members against each other at the end of a view.
func (r *ring) compare() {
	for _, n := range r.nodes {
		a, b := r.nodes[0], n
		if x, y := a.member.Snapshot(), b.member.Snapshot(); !slices.Equal(x, y) {
			r.failf("members %d and %d end a view with different tables:\n%x\n%x", a.id, b.id, x, y)
		}
		if x, y := totals(a.applied), totals(b.applied); !slices.Equal(x, y) {
			r.failf("members %d and %d applied in different total orders:\n%v\n%v", a.id, b.id, x, y)
		}
		if x, y := perClient(a.applied), perClient(b.applied); !maps.Equal(x, y) {
			r.failf("members %d and %d end a view having applied other messages of clients: %v, %v", a.id, b.id, x, y)
		}
		if b.member.Gaps() > 0 {
			r.failf("member %d: %d gaps", b.id, b.member.Gaps())
		}
	}
}

func totals(list []event) (total []event) {
	for _, e := range list {
		if e.level.Order() == Total {
			total = append(total, e)
		}
	}
	return total
}

// perClient counts messages by client.
func perClient(list []event) map[uint64]int {
	count := map[uint64]int{}
	for _, e := range list {
		count[e.client]++
	}
	return count
}
