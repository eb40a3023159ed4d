package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"cohort/core"
	"cohort/membership"
)

// Replies says how many answers an Ask waits for: a number from 0 on, or
// Majority or All of the group's members.
type Replies int

// How many replies to wait for, beside plain numbers.
const (
	None     Replies = 0
	One      Replies = 1
	Majority Replies = -1 // more than half of the group
	All      Replies = -2
)

// of returns the number for a group of n.
func (r Replies) of(n int) int {
	switch r {
	case Majority:
		return n/2 + 1
	case All:
		return n
	}
	return int(r)
}

// Reply is one member's answer.
type Reply struct {
	Sender  int               // rank in the group's view, when the answer came
	From    membership.Member // the same
	Payload []byte
}

// askTable holds the questions that wait for answers.
type askTable struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*question
}

type question struct {
	all     bool // of those who do not fail
	want    int
	pending map[uint64]bool // IDs of members that have not answered
	replies []Reply
	done    chan struct{}
	err     error // why there are fewer replies than wanted; read after done
}

// settle ends the question if enough have answered, or too few can.
func (q *question) settle() {
	if q.ended() {
		return
	}
	switch {
	case q.all && len(q.pending) > 0:
	case q.all || len(q.replies) >= q.want:
		close(q.done)
	case len(q.pending) == 0:
		q.err = fmt.Errorf("engine: %w: the others have failed or left", ErrNoReply)
		close(q.done)
	}
}

func (q *question) ended() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

func (t *askTable) init() { t.open = map[uint64]*question{} }

func (t *askTable) add(q *question) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	t.open[t.last] = q
	return t.last
}

// gone takes a member that has failed or left out of all waits.
func (t *askTable) gone(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.open {
		delete(q.pending, id)
		q.settle()
	}
}

// fail ends all questions.
func (t *askTable) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.open {
		if !q.ended() {
			q.err = err
			close(q.done)
		}
	}
}

// end takes the question off the table and returns what was answered.
func (t *askTable) end(id uint64) []Reply {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.open[id]
	delete(t.open, id)
	return q.replies
}

// Ask multicasts payload at level l and waits for the group's answers: as many as
// want says, counted in the group's view as this node has it. It returns them in
// the order in which they came. Members that fail or leave are not waited for: All
// is then all the others, and if a number or a Majority cannot be reached, it returns
// those that came and ErrNoReply. If ctx ends before, it returns those that came and
// an error that wraps the context's. Other errors are Send's. It may not be called
// inside a handler: it would wait for itself.
func (g *Group) Ask(ctx context.Context, l Level, payload []byte, want Replies) ([]Reply, error) {
	n := g.node
	if n.onLoop() {
		return nil, fmt.Errorf("engine: %w: Ask inside a handler", ErrWouldBlock)
	}
	if want < All {
		return nil, fmt.Errorf("engine: %w: %d replies, want a number from 0 on, Majority or All", ErrConfig, int(want))
	}
	if len(payload)+askHead > MaxMessage {
		return nil, fmt.Errorf("engine: %w: %d bytes, want at most %d in a question", ErrTooLarge, len(payload), MaxMessage-askHead)
	}
	count := want.of(g.Size())
	if count == 0 {
		return nil, g.Send(ctx, l, payload)
	}
	q := &question{all: want == All, want: count, pending: g.ids(), done: make(chan struct{})}
	id := n.asks.add(q)
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, askHead+len(payload)), id)
	if err := g.submit(ctx, true, l, kindAsk, append(b, payload...)); err != nil {
		n.asks.end(id)
		return nil, err
	}
	err := n.await(ctx, q.done)
	replies := n.asks.end(id)
	if err == nil {
		err = q.err
	}
	if err != nil {
		err = fmt.Errorf("%d of %d replies: %w", len(replies), count, err)
	}
	return replies, err
}

// ids returns the members of the group, as of the last view.
func (g *Group) ids() map[uint64]bool {
	list := map[uint64]bool{}
	for _, id := range *g.members.Load() {
		list[id] = true
	}
	return list
}

// reply takes an answer off the ring if it is for this node.
func (n *Node) reply(d *core.Delivery) {
	if len(d.Payload) < replyHead || binary.LittleEndian.Uint64(d.Payload) != n.proc.Self().ID {
		return
	}
	t := n.roster.Table.Get(d.Group)
	if t == nil {
		return
	}
	from := n.view().Members[d.Sender]
	a := &n.asks
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.open[binary.LittleEndian.Uint64(d.Payload[8:])]
	if q == nil || q.ended() {
		return // late, or more than were wanted
	}
	q.replies = append(q.replies, Reply{t.Rank(d.Sender), from, append([]byte(nil), d.Payload[replyHead:]...)})
	delete(q.pending, from.ID)
	q.settle()
}
