package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"cohort/core"
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
	Sender  int // rank in the ring's view
	Payload []byte
}

// askTable holds the questions that wait for answers.
type askTable struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*question
}

type question struct {
	want    int
	replies []Reply
	done    chan struct{}
}

func (t *askTable) init() { t.open = map[uint64]*question{} }

func (t *askTable) add(want int) (uint64, *question) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	q := &question{want: want, done: make(chan struct{})}
	t.open[t.last] = q
	return t.last, q
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
// the order in which they came. If ctx ends before there are enough, it returns
// those that came and an error that wraps the context's. Other errors are Send's.
// It may not be called inside a handler: it would wait for itself.
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
	id, q := n.asks.add(count)
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, askHead+len(payload)), id)
	if err := g.submit(ctx, true, l, kindAsk, append(b, payload...)); err != nil {
		n.asks.end(id)
		return nil, err
	}
	err := n.await(ctx, q.done)
	replies := n.asks.end(id)
	if err != nil {
		err = fmt.Errorf("%d of %d replies: %w", len(replies), count, err)
	}
	return replies, err
}

// reply takes an answer off the ring if it is for this node.
func (n *Node) reply(d *core.Delivery) {
	if len(d.Payload) < replyHead || int(d.Payload[0]) != n.rank {
		return
	}
	t := &n.asks
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.open[binary.LittleEndian.Uint64(d.Payload[1:])]
	if q == nil || len(q.replies) == q.want {
		return // late, or more than were wanted
	}
	q.replies = append(q.replies, Reply{d.Sender, append([]byte(nil), d.Payload[replyHead:]...)})
	if len(q.replies) == q.want {
		close(q.done)
	}
}
