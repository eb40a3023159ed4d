package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"cohort/membership"
)

// Replies says how many answers are waited for: a number from 0 on, or Majority or
// All of the group's members. Members are counted, not messages: of several replies
// of one member the first one counts. A null reply is no answer, but All does not
// wait for a member of whom it has come.
type Replies int

// How many answers to wait for, beside plain numbers.
const (
	None     Replies = 0
	One      Replies = 1
	Majority Replies = -1 // answers of more than half of the group
	All      Replies = -2 // of each member an answer or a null reply
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

// Reply is what has come of one member: its answer or, if there will be none, a null
// reply, which says that the member has failed, has left or has declined to answer.
type Reply struct {
	Sender  int               // rank in the group's view in which the question was asked
	From    membership.Member // the same
	Payload []byte            // of an answer; the receiver's own

	Null   bool              // no answer will come
	Reason membership.Reason // of a null reply: why the member is not in the group any more; 0: it is, and declined
}

// Ask multicasts payload at level l and waits for the group's answers: as many as
// want says. It returns what Question yields, null replies among it, in the order in
// which it came. With an error it returns what had come before. With None it is Send.
// It may not be called inside a handler: it would wait for itself.
func (g *Group) Ask(ctx context.Context, l Level, payload []byte, want Replies) (replies []Reply, err error) {
	for r, err := range g.Question(ctx, l, payload, want) {
		if err != nil {
			return replies, err
		}
		replies = append(replies, r)
	}
	return replies, nil
}

// Question is Ask with the replies as they come: each loop over what it returns asks
// once, and ends the question when it is left, however that happens. What comes later
// is dropped.
//
// Those who are asked are the members of the group's view as this node has it when the
// loop begins. Of each of them comes an answer or a null reply, and only one. A number
// or a Majority is complete with so many answers; null replies come, and do not count.
// All is complete when something has come of each, if it is null replies alone. Then
// the loop ends without an error.
//
// An error ends the loop too, and is yielded alone, after the replies that had come.
// It wraps ErrNoReply as soon as so few members are left that what is wanted cannot
// come any more; if the group has fewer members to begin with, nothing is sent. It wraps
// the context's if ctx ends, ErrNotMember if this node leaves the group meanwhile,
// ErrExpelled or ErrClosed if it leaves the ring; others are Send's. In a ring that
// cannot go on for now the question waits.
func (g *Group) Question(ctx context.Context, l Level, payload []byte, want Replies) iter.Seq2[Reply, error] {
	return func(yield func(Reply, error) bool) {
		q, err := g.pose(ctx, l, payload, want)
		if err != nil {
			yield(Reply{}, err)
			return
		}
		if q == nil {
			return
		}
		defer g.asks.end(q)
		answers := 0
		for cut := error(nil); ; cut = g.node.await(ctx, q.news) {
			replies, over, err := g.asks.take(q)
			for _, r := range replies {
				if !r.Null {
					answers++
				}
				if !yield(r, nil) {
					return
				}
			}
			if !over && cut != nil {
				over, err = true, cut
			}
			if err != nil {
				yield(Reply{}, fmt.Errorf("%d of %d replies: %w", answers, q.count, err))
			}
			if over {
				return
			}
		}
	}
}

// pose sends a question. It returns nil if nothing is to be waited for.
func (g *Group) pose(ctx context.Context, l Level, payload []byte, want Replies) (*question, error) {
	n := g.node
	if n.onLoop() {
		return nil, fmt.Errorf("engine: %w: Ask inside a handler waits for the handler to return: call it on another goroutine", ErrWouldBlock)
	}
	if ctx == nil {
		return nil, errNoContext
	}
	if want < All {
		return nil, fmt.Errorf("engine: %w: %d replies, want a number from 0 on, Majority or All", ErrConfig, int(want))
	}
	if len(payload)+askHead > MaxMessage {
		return nil, fmt.Errorf("engine: %w: %d bytes, want at most %d in a question", ErrTooLarge, len(payload), MaxMessage-askHead)
	}
	if want == None {
		return nil, g.Send(ctx, l, payload)
	}
	q, err := g.asks.begin(n.questions.Add(1), want)
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, askHead+len(payload)), q.number)
	if err := g.submit(ctx, true, l, kindAsk, append(b, payload...)); err != nil {
		g.asks.end(q)
		return nil, err
	}
	return q, nil
}
