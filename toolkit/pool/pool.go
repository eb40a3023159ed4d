package pool

import (
	"fmt"
	"io"
	"runtime"
	"sync"

	"cohort/engine"
)

// Handler is what an application does with a group's messages.
type Handler interface {
	// Deliver takes a message, on one of the workers, while others take theirs. The turn
	// and its payload are borrowed until Deliver returns. It may block, and call all that
	// a handler under engine.Queued may, but for what waits for it: Group.Leave, Node.Close
	// and Pool.Wait.
	Deliver(t *Turn)

	// View takes a view, when all messages before it are finished and none after it has
	// begun.
	View(v engine.GroupView)
}

// Stateful is a Handler that is engine.Stateful too. Snapshot is called as View is.
type Stateful interface {
	Handler
	Snapshot() (io.ReadCloser, error)
	Restore(r io.Reader) error
}

// HandlerFunc is a Handler that ignores views.
type HandlerFunc func(t *Turn)

// Deliver calls f.
func (f HandlerFunc) Deliver(t *Turn) { f(t) }

// View does nothing.
func (f HandlerFunc) View(engine.GroupView) {}

// Config says how messages are processed. The zero value will do.
type Config struct {
	Workers int // that process messages at a time. Default: one per processor that Go uses

	// Key has messages of one key processed in delivery order, one at a time. Hash what
	// is longer: two keys that collide are not concurrent, no more. It is called in
	// delivery order and must be quick. Default: all are concurrent.
	Key func(m *engine.Message) uint64

	Queue int // messages in work or waiting, 64 to 65536, rounded up to a power of two. Default 1024
	Bytes int // of their payloads, at most, but for one that is larger. Default 32 MiB
}

const (
	defaultQueue = 1024
	minQueue     = 64
	maxQueue     = 1 << 16
	defaultBytes = 32 << 20
	ringBytes    = 1 << 20  // between the node's loop and the pool
	keepBuffer   = 64 << 10 // memory of a place above this is not kept
)

// Pool hands the messages of one group to workers. Workers are started when there is
// work for them, and end when there is none.
type Pool struct {
	cfg  Config
	h    Handler
	work func() // run, once made

	mu      sync.Mutex
	moved   sync.Cond // told when half of the room is free, or all
	full    bool      // the group waits for room
	sched   *sched
	turns   []Turn // as places of sched
	bytes   int
	workers int
}

// New returns a pool that has h process messages. An error wraps engine.ErrConfig.
func New(c Config, h Handler) (*Pool, error) {
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.Bytes == 0 {
		c.Bytes = defaultBytes
	}
	f, isFunc := h.(HandlerFunc)
	switch {
	case h == nil || isFunc && f == nil:
		return nil, fmt.Errorf("pool: %w: the handler is nil", engine.ErrConfig)
	case c.Workers < 0:
		return nil, fmt.Errorf("pool: %w: Workers is %d, want at least 1", engine.ErrConfig, c.Workers)
	case c.Queue < minQueue || c.Queue > maxQueue:
		return nil, fmt.Errorf("pool: %w: Queue is %d messages, want %d to %d", engine.ErrConfig, c.Queue, minQueue, maxQueue)
	case c.Bytes < 0:
		return nil, fmt.Errorf("pool: %w: Bytes is %d, want 0 or more", engine.ErrConfig, c.Bytes)
	}
	size := minQueue
	for size < c.Queue {
		size *= 2
	}
	p := &Pool{cfg: c, h: h, sched: newSched(size), turns: make([]Turn, size)}
	p.moved.L = &p.mu
	p.work = p.run
	return p, nil
}

// Handler returns what the node is to join one group with. It is engine.Queued: when the
// pool is full, the group waits, and in the end its senders.
func (p *Pool) Handler() engine.Handler {
	if s, ok := p.h.(Stateful); ok {
		return engine.Queued(statefulFeeder{feeder{p}, s}, ringBytes)
	}
	return engine.Queued(feeder{p}, ringBytes)
}

// Wait returns when all that was handed to the pool has been processed. Leaving a group
// and closing a node wait for the hand-over alone.
func (p *Pool) Wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle()
}

// idle waits, with p unlocked, until nothing is in work.
func (p *Pool) idle() {
	for p.sched.used() > 0 {
		p.moved.Wait()
	}
}

// feeder feeds the pool from the group.
type feeder struct{ p *Pool }

func (f feeder) Deliver(m *engine.Message) { f.p.feed(m) }

func (f feeder) View(v engine.GroupView) {
	f.p.Wait()
	f.p.h.View(v)
}

// statefulFeeder is a feeder for a stateful handler.
type statefulFeeder struct {
	feeder
	s Stateful
}

func (f statefulFeeder) Snapshot() (io.ReadCloser, error) {
	f.p.Wait()
	return f.s.Snapshot()
}

func (f statefulFeeder) Restore(r io.Reader) error { return f.s.Restore(r) }

// feed takes a message in, once there is room.
func (p *Pool) feed(m *engine.Message) {
	var key uint64
	if p.cfg.Key != nil {
		key = p.cfg.Key(m)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full = p.sched.used() == len(p.turns) || p.bytes > 0 && p.bytes+len(m.Payload) > p.cfg.Bytes; p.full {
		for !p.half() {
			p.moved.Wait()
		}
		p.full = false
	}
	num := p.sched.add(p.cfg.Key != nil, key)
	p.turns[p.sched.index(num)].set(p, num, m)
	p.bytes += len(m.Payload)
	if p.sched.count > 0 && p.workers < p.cfg.Workers {
		p.workers++
		go p.work()
	}
}

// half tells whether half of the room is free. For less the feeder would be woken for
// every message.
func (p *Pool) half() bool { return p.sched.used() <= len(p.turns)/2 && p.bytes <= p.cfg.Bytes/2 }

// run is a worker.
func (p *Pool) run() {
	var t *Turn
	defer func() {
		if t == nil {
			return
		}
		p.mu.Lock() // the handler panics, or ends its goroutine as a failing test does
		defer p.mu.Unlock()
		p.finish(t)
		go p.work()
	}()
	for t = p.next(nil); t != nil; t = p.next(t) {
		p.h.Deliver(t)
	}
}

// next finishes a message, if there is one, and returns the next to process; nil if this
// worker is to end.
func (p *Pool) next(done *Turn) *Turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done != nil {
		p.finish(done)
	}
	num, ok := p.sched.take()
	if !ok {
		p.workers--
		return nil
	}
	return &p.turns[p.sched.index(num)]
}

// finish ends a message, and its turn if it has not had it.
func (p *Pool) finish(t *Turn) {
	if !t.entered {
		p.pass(t)
	}
	p.bytes -= t.size
	t.drop()
	p.sched.finish(t.Num)
	if p.full && p.half() || p.sched.used() == 0 {
		p.moved.Broadcast()
	}
}

// pass ends a message's turn.
func (p *Pool) pass(t *Turn) {
	if woken := p.sched.pass(t.Num); woken != 0 {
		p.turns[p.sched.index(woken)].come <- struct{}{}
	}
}
