package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cohort/engine"
)

// Options say what a subscription gets, and what happens when it is slow.
type Options struct {
	Last   int    // how many of the last messages of each topic come first, up to Config.History. Default: none
	Policy Policy // Default Block
	Queue  int    // messages that may wait for the function. Default 1024
}

const defaultQueue = 1024

// Sub is a subscription.
type Sub struct {
	b       *Broker
	pattern string
	queue   *queue
	done    chan struct{}

	mu     sync.Mutex
	groups []*group // that it is in, or has not seen left
}

// Subscribe has f called, on a goroutine of the subscription's own, with the messages of
// all topics that match the pattern. Those of one group, that is of topics with the same
// first levels, come in the order of delivery; those of several groups have no order
// among each other. What is published to a topic once Subscribe has returned, and was
// not when it was called, comes; of what is older, what Options.Last asks for.
//
// When the node is closed, f is called with all that was delivered before, and the
// subscription ends.
//
// A pattern with a wildcard in the first Config.Prefix levels is in all groups. Joining
// them waits until ctx ends, and what had been joined by then is left within a second more.
// Errors are those of engine.Node.Join.
func (b *Broker) Subscribe(ctx context.Context, pattern string, o Options, f func(m *Message)) (*Sub, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	if err := checkPattern(pattern); err != nil {
		return nil, err
	}
	if o.Queue == 0 {
		o.Queue = defaultQueue
	}
	switch {
	case o.Last < 0 || o.Last > b.cfg.History:
		return nil, fmt.Errorf("pubsub: %w: Last is %d, want 0 to %d, which is History", engine.ErrConfig, o.Last, b.cfg.History)
	case o.Queue < 1:
		return nil, fmt.Errorf("pubsub: %w: Queue is %d messages, want at least 1", engine.ErrConfig, o.Queue)
	case f == nil:
		return nil, fmt.Errorf("pubsub: %w: the function for %q is nil", engine.ErrConfig, pattern)
	case o.Policy < Block || o.Policy > Conflate:
		return nil, fmt.Errorf("pubsub: %w: Policy is %d, want Block, DropOldest or Conflate", engine.ErrConfig, int(o.Policy))
	}
	s := &Sub{b: b, pattern: pattern, queue: newQueue(o.Policy, o.Queue), done: make(chan struct{})}
	go s.run(f)
	if err := s.open(ctx, o.Last); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
		defer cancel()
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// undoWithin bounds how long a Subscribe or Join that failed takes to undo what it had done,
// where the groups do not go on.
const undoWithin = time.Second

// open enters the groups of the pattern.
func (s *Sub) open(ctx context.Context, last int) error {
	b := s.b
	b.mu.Lock()
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	groups := b.groups
	if head, open := prefix(s.pattern, b.cfg.Prefix); !open {
		k := placed(head, len(groups))
		groups = groups[k : k+1]
	}
	for _, g := range groups {
		err := g.become(ctx, subscriber, func() {
			s.groups = append(s.groups, g)
			g.handler.subscribe(s, last)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// run calls f until the queue is closed; or the node, and all that it had delivered has come.
func (s *Sub) run(f func(m *Message)) {
	defer close(s.done)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-s.b.node.Done():
			s.queue.end()        // the function may be waiting for the node to close
			_ = s.b.node.Close() // it is closed: this waits for its groups' queues
			s.queue.close(false)
		case <-ended:
		}
	}()
	var m Message
	for s.queue.take(&m) {
		f(&m)
	}
}

// Close ends the subscription: what waits is dropped, and Done is closed when the function
// has returned for the last time. It leaves the groups that no other subscription of this
// process needs; errors are those of engine.Group.Leave. After an error Close may be called
// again, and goes on with the groups that it came from.
func (s *Sub) Close(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	s.queue.close(true)
	s.b.mu.Lock()
	delete(s.b.subs, s)
	s.b.mu.Unlock()
	s.mu.Lock()
	groups := s.groups
	s.mu.Unlock()
	var failed []*group
	var errs []error
	for _, g := range groups {
		if err := g.close(ctx, s); err != nil {
			failed, errs = append(failed, g), append(errs, err)
		}
	}
	s.mu.Lock()
	s.groups = failed
	s.mu.Unlock()
	return errors.Join(errs...)
}

// close takes a subscription out of the group, and leaves that if it was the last; it goes on
// where an earlier call was cut short.
func (g *group) close(ctx context.Context, s *Sub) error {
	if err := g.turns.Acquire(ctx, wholeTurn); err != nil {
		return fmt.Errorf("pubsub: waiting for the group: %w", err)
	}
	defer g.turns.Release(wholeTurn)
	switch {
	case g.role == publisher: // left, and joined again
		return nil
	case g.role == subscriber && (!g.handler.unsubscribe(s) || g.b.cfg.Keep):
		return nil
	}
	return g.change(ctx, outside)
}

// Done returns a channel that is closed when the function has returned for the last time.
func (s *Sub) Done() <-chan struct{} { return s.done }

// Stats returns what the subscription has met so far.
func (s *Sub) Stats() Stats {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.stats
}
