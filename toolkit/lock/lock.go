// Package lock has locks and counting semaphores for the members of a group, by name and
// in any number. They are granted in the total order of the requests, so nobody starves,
// and are free again when their holder fails or leaves. Each grant has a fencing token.
// See docs/toolkit/lock.md for what is promised, and for updates under a lock.
package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cohort/engine"
	"cohort/toolkit"
)

// Errors. They come wrapped in one that says more, also in those of package engine.
var (
	ErrTaken    = errors.New("the lock is taken")
	ErrHeld     = errors.New("this owner has the lock or waits for it")
	ErrNotHeld  = errors.New("this owner does not have the lock")
	ErrLost     = errors.New("the lock was lost before it was released")
	ErrCapacity = errors.New("the semaphore is in use with another capacity")
)

// Locks are the locks of one group. Methods of this package may be called from any
// goroutine, but not inside a handler of the node.
type Locks struct {
	node *engine.Node
	host *toolkit.Host[*machine]
}

// Grant is what one owner has of a lock, until it is released or lost.
type Grant struct {
	Token uint64 // grows from grant to grant of a lock, and is the same at all members
	lost  chan struct{}
}

// Lost returns a channel that is closed when this member finds that it may not have the
// lock any more: it sees no quorum, has been expelled, or has left. Others may get the
// lock some time before. It is not closed by a release.
func (g *Grant) Lost() <-chan struct{} { return g.lost }

// Join has the node share the locks of the named group, which should be used for nothing
// else. Errors are those of engine.Node.Join.
//
// Tokens begin with the time of Join in microseconds, so that they go on growing when
// all members had ended, if clocks were not set back meanwhile.
func Join(ctx context.Context, node *engine.Node, name string) (*Locks, error) {
	h, err := toolkit.Join(ctx, node, name, newMachine(uint64(time.Now().UnixMicro())))
	if err != nil {
		return nil, err
	}
	l := &Locks{node, h}
	go func() { // a node that fails shows its groups nothing any more
		why := engine.ErrClosed
		select {
		case <-node.Done():
		case <-h.Group().Gone(): // nor does one that has given the group up
			why = engine.ErrNotMember
		}
		h.Look(func(m *machine) { m.endAll(why) })
	}()
	return l, nil
}

// Leave releases all that this member has, and leaves the group; see engine.Group.Leave.
func (l *Locks) Leave(ctx context.Context) error {
	if ctx == nil { // what this member has is not lost for that
		return fmt.Errorf("lock: %w: the context is nil, want one such as context.Background()", engine.ErrConfig)
	}
	l.host.Post(func(m *machine, out toolkit.Out) { m.quit(out) })
	return l.host.Leave(ctx)
}

// Semaphore is one owner's access to a semaphore: it has or waits for one share at a
// time. Another owner, also at this member, takes a Semaphore of its own.
type Semaphore struct {
	locks    *Locks
	name     string
	capacity uint32
	level    engine.Level

	mu    sync.Mutex
	claim *claim // nil if it neither has nor waits for anything
}

// Semaphore returns a new owner's access to the semaphore of that name, of which all
// shares together are never more than capacity, 1 or more.
//
// The level is that of requests. With engine.Total.Safe() a token, once granted, is never
// given again: needed if it, or what is done under the lock, leaves the group. For what
// stays in the group engine.Total is enough, and faster.
func (l *Locks) Semaphore(name string, capacity uint32, level engine.Level) *Semaphore {
	return &Semaphore{locks: l, name: name, capacity: capacity, level: level}
}

// Acquire waits for n of the capacity, 1 or more, and for those who asked before. If ctx
// ends meanwhile the request is taken back. Errors wrap ctx's, ErrHeld, ErrCapacity,
// engine.ErrConfig, ErrLevel, and those of engine.Group.Send and, while it waits,
// engine.ErrExpelled, ErrNotMember or ErrClosed: then the request is void.
func (s *Semaphore) Acquire(ctx context.Context, n uint32) (*Grant, error) {
	return s.acquire(ctx, n, false)
}

// TryAcquire is Acquire, but returns ErrTaken instead of waiting for others to release. A
// release that has not come to this member yet does not count.
func (s *Semaphore) TryAcquire(ctx context.Context, n uint32) (*Grant, error) {
	return s.acquire(ctx, n, true)
}

func (s *Semaphore) acquire(ctx context.Context, n uint32, try bool) (*Grant, error) {
	if err := s.check(n); err != nil {
		return nil, err
	}
	c := &claim{name: s.name, weight: n, capacity: s.capacity, level: s.level, try: try, settled: make(chan struct{})}
	if !s.begin(c) {
		return nil, fmt.Errorf("lock: %w: %q", ErrHeld, s.name)
	}
	err := s.locks.await(ctx, c)
	if err != nil {
		s.mu.Lock()
		s.claim = nil
		s.mu.Unlock()
		return nil, err
	}
	return c.grant, nil
}

func (s *Semaphore) check(n uint32) error {
	switch {
	case s.name == "" || len(s.name) > MaxName:
		return fmt.Errorf("lock: %w: name of %d bytes, want 1 to %d", engine.ErrConfig, len(s.name), MaxName)
	case n == 0 || n > s.capacity:
		return fmt.Errorf("lock: %w: %d of %q, want 1 to its capacity, %d", engine.ErrConfig, n, s.name, s.capacity)
	case !s.level.Valid() || s.level.Order() != engine.Total:
		return fmt.Errorf("lock: %w: %v for %q, want abcast or a safe form of it", engine.ErrLevel, s.level, s.name)
	}
	return nil
}

func (s *Semaphore) begin(c *claim) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claim != nil {
		return false
	}
	s.claim = c
	return true
}

// await asks for c and waits until it is granted.
func (l *Locks) await(ctx context.Context, c *claim) error {
	err := l.host.Do(ctx, func(m *machine, out toolkit.Out) error {
		m.ask(c, out)
		return nil
	})
	if err != nil { // nobody has got the request
		l.host.Look(func(m *machine) { delete(m.own, c.serial) })
		return err
	}
	select {
	case <-c.settled:
		return c.err
	case <-ctx.Done():
		l.host.Post(func(m *machine, out toolkit.Out) { m.giveUp(c, out) })
		return fmt.Errorf("lock: waiting for %q: %w", c.name, context.Cause(ctx))
	}
}

// Release gives back what Acquire got. All that this goroutine has sent before, to any
// group, is delivered before anybody has the lock next. It does not wait. Errors are
// ErrNotHeld, and ErrLost if the lock had been lost before.
func (s *Semaphore) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.claim
	if c == nil || !c.isGranted() {
		return fmt.Errorf("lock: %w: %q", ErrNotHeld, s.name)
	}
	s.claim = nil
	s.locks.host.Post(func(m *machine, out toolkit.Out) { m.giveUp(c, out) })
	select {
	case <-c.grant.lost:
		return fmt.Errorf("lock: %w: %q", ErrLost, s.name)
	default:
		return nil
	}
}

func (c *claim) isGranted() bool {
	select {
	case <-c.settled:
		return c.grant != nil
	default:
		return false
	}
}

// Mutex is one owner's access to a lock: a Semaphore of capacity 1.
type Mutex struct{ s *Semaphore }

// Mutex returns a new owner's access to the lock of that name. For level see
// Locks.Semaphore.
func (l *Locks) Mutex(name string, level engine.Level) *Mutex {
	return &Mutex{l.Semaphore(name, 1, level)}
}

// Lock waits for the lock: see Semaphore.Acquire.
func (m *Mutex) Lock(ctx context.Context) (*Grant, error) { return m.s.Acquire(ctx, 1) }

// TryLock is Lock, but returns ErrTaken if somebody has the lock: see Semaphore.TryAcquire.
func (m *Mutex) TryLock(ctx context.Context) (*Grant, error) { return m.s.TryAcquire(ctx, 1) }

// Unlock releases the lock: see Semaphore.Release.
func (m *Mutex) Unlock() error { return m.s.Release() }
