package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"golang.org/x/sync/semaphore"

	"cohort/engine"
)

// role is what this process is in a group.
type role int

const (
	outside role = iota
	publisher
	subscriber
)

// group is one group that topics are mapped onto, as this process sees it.
type group struct {
	b    *Broker
	name string

	// turns is held by one who publishes in part, and as a whole by one who changes the
	// role, so that what is published on both sides of a change keeps its order.
	turns   *semaphore.Weighted
	role    role
	g       *engine.Group
	handler *handler // of a subscriber
}

const wholeTurn = math.MaxInt64

func (g *group) begin(ctx context.Context, turn int64) error {
	if ctx == nil {
		return errNoContext
	}
	if err := g.turns.Acquire(ctx, turn); err != nil {
		return fmt.Errorf("pubsub: waiting for the group: %w", err)
	}
	if g.b.left.Load() {
		g.turns.Release(turn)
		return fmt.Errorf("pubsub: %w: it has been left", engine.ErrNotMember)
	}
	return nil
}

// publish sends to the group, which this process joins if it has not.
func (g *group) publish(ctx context.Context, l engine.Level, b []byte) error {
	for {
		if in, err := g.send(ctx, l, b); in || err != nil {
			return err
		}
		if err := g.become(ctx, publisher, func() {}); err != nil {
			return err
		}
	}
}

// send sends to the group if this process is in it.
func (g *group) send(ctx context.Context, l engine.Level, b []byte) (in bool, err error) {
	if err := g.begin(ctx, 1); err != nil {
		return false, err
	}
	defer g.turns.Release(1)
	if g.role == outside {
		return false, nil
	}
	return true, g.g.Send(ctx, l, b)
}

// become has this process be r in the group, or more, and then calls f.
func (g *group) become(ctx context.Context, r role, f func()) error {
	if err := g.begin(ctx, wholeTurn); err != nil {
		return err
	}
	defer g.turns.Release(wholeTurn)
	if g.role < r {
		if err := g.change(ctx, r); err != nil {
			return err
		}
	}
	f()
	return nil
}

// change leaves the group and joins it as r.
func (g *group) change(ctx context.Context, r role) error {
	g.role = outside
	if g.g != nil { // if this fails, it is tried again with the next change
		if err := g.g.Leave(ctx); err != nil && !errors.Is(err, engine.ErrNotMember) {
			return fmt.Errorf("pubsub: %w", err)
		}
	}
	g.g, g.handler = nil, nil
	var h engine.Handler
	switch r {
	case outside:
		return nil
	case publisher:
		h = engine.HandlerFunc(func(*engine.Message) {})
	default:
		g.handler = &handler{table: newTable(g.b.limits())}
		h = engine.Queued(g.handler, queueBytes)
	}
	joined, err := g.b.node.Join(ctx, g.name, h)
	if err != nil {
		return fmt.Errorf("pubsub: %w", err)
	}
	g.role, g.g = r, joined
	return nil
}

// queueBytes is what waits between the node's loop and the subscriptions' queues.
const queueBytes = 1 << 20

// handler is what a subscriber's group does with what is delivered. Each time in the
// group has its own: where leaving was cut short, the old one may still be called.
type handler struct {
	mu    sync.Mutex
	table *table
}

// Deliver hands the message to those who want it. Where one's queue blocks, so does the
// group's, as it is engine.Queued.
func (h *handler) Deliver(m *engine.Message) {
	h.mu.Lock()
	subs, msg := h.table.deliver(m.From().ID, m.Level, m.Payload)
	h.mu.Unlock()
	for _, s := range subs {
		s.queue.put(msg)
	}
}

func (h *handler) View(v engine.GroupView) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.table.view(v)
}

func (h *handler) Snapshot() (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.table.snapshot(), nil
}

func (h *handler) Restore(r io.Reader) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.table.restore(r)
}

func (h *handler) subscribe(s *Sub, last int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.table.subscribe(s, s.pattern, last)
}

// unsubscribe takes s out, if it is in, and tells whether it was the last.
func (h *handler) unsubscribe(s *Sub) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.table.unsubscribe(s, s.pattern)
	return h.table.subs.empty()
}
