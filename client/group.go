package client

import (
	"context"
	"fmt"
	"math"

	"cohort/client/session"
	"cohort/engine"
	"cohort/membership"
)

// Group is a group that the client sends to.
type Group struct {
	client *Client
	name   string
	index  int
}

// MaxPayload is the largest message, bytes.
const MaxPayload = session.MaxPayload

// call is a question that somebody waits for the answers to; Client.mu guards it.
type call struct {
	epoch   uint64 // of the connection that the replies came by
	replies []engine.Reply
	code    session.Code
	done    chan struct{} // closed when nothing more is waited for
}

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

// Send sends payload, 0 to MaxPayload bytes, to the group at level l. It waits for room
// until ctx ends, and returns when payload is the caller's again. Messages of a client
// are applied in the order of the calls, across its groups too. Errors wrap
// engine.ErrTooLarge, ErrLevel or ErrConfig, ErrClosed, ErrForgotten or the context's; with an
// error no member ever applies the message.
func (g *Group) Send(ctx context.Context, l engine.Level, payload []byte) error {
	_, err := g.add(ctx, &session.Message{Level: l}, payload)
	return err
}

// Ask sends payload at level l and waits for the group's answers, as many as want says,
// counted in the view of the group that the member has which asks it; and until the
// question is acknowledged. It returns the answers in the order in which they came; of
// who answered, they have the ID and the name. Errors are those of engine.Group.Ask and
// of Send. If ctx ends, the question may yet be applied. A member that declines is waited
// for like one that has yet to answer: give ctx an end.
func (g *Group) Ask(ctx context.Context, l engine.Level, payload []byte, want engine.Replies) ([]engine.Reply, error) {
	if want < engine.All || want > math.MaxInt32 {
		return nil, fmt.Errorf("client: %w: %d replies, want a number from 0 on, Majority or All", engine.ErrConfig, int(want))
	}
	if want == engine.None {
		return nil, g.Send(ctx, l, payload)
	}
	k := &call{done: make(chan struct{})}
	m, err := g.add(ctx, &session.Message{Level: l, Asked: true, Want: int(want), Tag: k}, payload)
	if err != nil {
		return nil, err
	}
	c := g.client
	err = c.await(ctx, k.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	replies := k.replies
	switch {
	case err != nil:
		c.window.Abandon(m)
		c.change()
	case k.code != 0:
		err = fmt.Errorf("client: %w: %v", engine.ErrNoReply, k.code)
	}
	if err != nil {
		err = fmt.Errorf("%d replies: %w", len(replies), err)
	}
	return replies, err
}

// add puts a message into the window.
func (g *Group) add(ctx context.Context, m *session.Message, payload []byte) (*session.Message, error) {
	c := g.client
	switch {
	case ctx == nil:
		return nil, errNoContext
	case len(payload) > MaxPayload:
		return nil, fmt.Errorf("client: %w: %d bytes, want at most %d", engine.ErrTooLarge, len(payload), MaxPayload)
	case !m.Level.Valid():
		return nil, fmt.Errorf("client: %w: %v", engine.ErrLevel, m.Level)
	}
	m.Group, m.Payload = g.index, append([]byte(nil), payload...)
	closed := false
	err := c.until(ctx, func() bool {
		if closed = c.closing || c.why != nil; closed {
			return true
		}
		if c.window.Idle() {
			c.progress()
		}
		return c.window.Add(m)
	})
	switch {
	case err != nil:
		return nil, err
	case closed:
		return nil, c.refusal()
	}
	c.ring()
	return m, nil
}

// reply takes an answer to a question; mu is held.
func (c *Client) reply(f *session.Frame) {
	m := c.window.Waiting(f.Group, f.Seq)
	if m == nil {
		return
	}
	k := m.Tag.(*call)
	if k.epoch != c.epoch { // those that another member brought are asked for again
		k.epoch, k.replies = c.epoch, nil
	}
	k.replies = append(k.replies, engine.Reply{
		Sender: f.Rank, From: membership.Member{ID: f.From, Name: f.Name}, Payload: append([]byte(nil), f.Body...),
	})
}

// answered takes that no more answers come; mu is held.
func (c *Client) answered(f *session.Frame) {
	m := c.window.Waiting(f.Group, f.Seq)
	if m == nil {
		return
	}
	k := m.Tag.(*call)
	if k.epoch != c.epoch {
		k.replies = nil
	}
	k.code = f.Code
	c.window.Answered(f.Group, f.Seq, finish)
}

// finish ends a question's wait; mu is held.
func finish(m *session.Message) {
	if k, ok := m.Tag.(*call); ok {
		close(k.done)
	}
}
