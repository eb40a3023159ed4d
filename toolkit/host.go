package toolkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"cohort/engine"
)

// Host runs a Machine in a group of a node. Its methods may be called from any
// goroutine, but not inside a handler of the node.
type Host[M Machine] struct {
	node    *engine.Node
	group   *engine.Group
	sending chan struct{} // holds one: what Do sends leaves in the order of the calls

	mu      sync.Mutex
	machine M
	life    int           // counts the expulsions
	left    bool          // the group has been left
	changed chan struct{} // closed at the next event; nil if nobody waits for that
	unsent  []outgoing    // of the machine's own, oldest first
	trying  bool          // a goroutine tries again to send them
	err     error         // why the machine cannot go on
}

// errNoContext is for a context that is nil; see package engine.
var errNoContext = fmt.Errorf("toolkit: %w: the context is nil, want one such as context.Background()", engine.ErrConfig)

const tryEvery = 10 * time.Millisecond // how often what could not be sent is

type outgoing struct {
	level   engine.Level
	payload []byte
}

// Join makes the node a member of the named group, with m as what it does there. Errors
// are those of engine.Node.Join. The machine is the host's from here on.
func Join[M Machine](ctx context.Context, node *engine.Node, name string, m M) (*Host[M], error) {
	h := &Host[M]{node: node, machine: m, sending: make(chan struct{}, 1)}
	g, err := node.Join(ctx, name, handler[M]{h})
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.group = g
	_ = h.sendUnsent(g.TrySend) // else it is tried again
	return h, nil
}

// Do has f use the machine, and sends what f puts out: all of it, or up to the first
// error, which it returns. Errors are f's, those of engine.Group.Send, and the machine's
// own trouble. What was sent is delivered at this member too, some time after.
func (h *Host[M]) Do(ctx context.Context, f func(m M, out Out) error) error {
	_, err := h.do(ctx, f)
	return err
}

// DoAwait is Do and then, if that has no error, Await: which so ends with
// engine.ErrExpelled also if the group has gone on without this member in between. Errors
// are those of both.
func (h *Host[M]) DoAwait(ctx context.Context, f func(m M, out Out) error, done func(m M) (bool, error)) error {
	life, err := h.do(ctx, f)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.await(ctx, life, done)
}

// do is Do. It returns the machine's life that f was called in.
func (h *Host[M]) do(ctx context.Context, f func(m M, out Out) error) (life int, err error) {
	if ctx == nil {
		return 0, errNoContext
	}
	select {
	case h.sending <- struct{}{}:
		defer func() { <-h.sending }()
	case <-ctx.Done():
		return 0, waitingToSend(ctx)
	}
	if err := h.outstrip(ctx); err != nil {
		return 0, err
	}
	var o outbox
	err = h.with(func(m M) error { life = h.life; return f(m, &o) })
	for i := 0; i < len(o.list) && err == nil; i++ {
		err = h.group.Send(ctx, o.list[i].level, o.list[i].payload)
	}
	return life, err
}

// outstrip waits until what the machine has put out has been sent: what is put out later
// comes after it.
func (h *Host[M]) outstrip(ctx context.Context) error {
	for {
		h.mu.Lock()
		err := h.sendUnsent(h.group.TrySend)
		h.mu.Unlock()
		if !errors.Is(err, engine.ErrWouldBlock) {
			return err
		}
		select {
		case <-time.After(tryEvery):
		case <-ctx.Done():
			return waitingToSend(ctx)
		}
	}
}

func waitingToSend(ctx context.Context) error {
	return fmt.Errorf("toolkit: waiting to send: %w", context.Cause(ctx))
}

// Post has f use the machine, and does not wait: what f puts out is sent like what the
// machine sends, once there are room and a quorum, unless the node is expelled before.
func (h *Host[M]) Post(f func(m M, out Out)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trouble() != nil {
		return
	}
	h.take(func(out Out) { f(h.machine, out) }, h.group.TrySend)
}

// Look has f look at the machine.
func (h *Host[M]) Look(f func(m M)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h.machine)
}

func (h *Host[M]) with(f func(m M) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.trouble(); err != nil {
		return err
	}
	return f(h.machine)
}

// trouble tells why the machine does not go on.
func (h *Host[M]) trouble() error {
	if h.left {
		return fmt.Errorf("toolkit: %w", engine.ErrNotMember)
	}
	return h.err
}

// Await waits until done says so: it is asked now and after whatever the group delivers,
// and may look at and change the machine. Errors are done's own; those that wrap ctx's,
// engine.ErrClosed, ErrNotMember, or ErrExpelled: the group has gone on without this
// member meanwhile, and with a machine that has begun anew.
func (h *Host[M]) Await(ctx context.Context, done func(m M) (bool, error)) error {
	if ctx == nil {
		return errNoContext
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.await(ctx, h.life, done)
}

func (h *Host[M]) await(ctx context.Context, life int, done func(m M) (bool, error)) error {
	for {
		if h.life != life {
			return fmt.Errorf("toolkit: %w", engine.ErrExpelled)
		}
		if err := h.trouble(); err != nil {
			return err
		}
		if ok, err := done(h.machine); ok || err != nil {
			return err
		}
		if err := h.sleep(ctx); err != nil {
			return err
		}
	}
}

// sleep waits, with h unlocked, for the next event.
func (h *Host[M]) sleep(ctx context.Context) error {
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	changed := h.changed
	h.mu.Unlock()
	defer h.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("toolkit: waiting in group %q: %w", h.group.Name(), context.Cause(ctx))
	case <-h.group.Gone():
		return fmt.Errorf("toolkit: waiting in group %q: %w", h.group.Name(), engine.ErrNotMember)
	case <-h.node.Done():
		return fmt.Errorf("toolkit: waiting in group %q: %w", h.group.Name(), engine.ErrClosed)
	}
}

// Group returns the group that the machine is in.
func (h *Host[M]) Group() *engine.Group { return h.group }

// Leave leaves the group; see engine.Group.Leave.
func (h *Host[M]) Leave(ctx context.Context) error {
	if err := h.group.Leave(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	h.wake()
	return nil
}

func (h *Host[M]) wake() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// sendUnsent sends what waits to be sent. Where too few members are left, or there is
// no room, it is tried again, and the error says which of them.
func (h *Host[M]) sendUnsent(send func(engine.Level, []byte) error) error {
	for len(h.unsent) > 0 {
		err := send(h.unsent[0].level, h.unsent[0].payload)
		switch {
		case errors.Is(err, engine.ErrNoQuorum), errors.Is(err, engine.ErrWouldBlock):
			h.tryAgain()
			return err
		case errors.Is(err, engine.ErrExpelled), errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrNotMember):
			h.unsent = nil // it is nobody's any more
			return nil
		case err != nil:
			h.err = fmt.Errorf("toolkit: sending for the machine in group %q: %w", h.group.Name(), err)
		}
		h.unsent = h.unsent[1:]
	}
	return nil
}

// tryAgain has a goroutine send what waits. The next event may be long in coming: a
// ring that goes on with all its members tells its groups nothing.
func (h *Host[M]) tryAgain() {
	if h.trying {
		return
	}
	h.trying = true
	time.AfterFunc(tryEvery, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.trying = false
		_ = h.sendUnsent(h.group.TrySend)
	})
}

// event has the machine take what the group delivers.
func (h *Host[M]) event(f func(out Out)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(f, func(l engine.Level, p []byte) error { return h.group.Send(context.Background(), l, p) }) // here it does not wait
}

// take has f use the machine, and sends what it puts out after what waits.
func (h *Host[M]) take(f func(out Out), send func(engine.Level, []byte) error) {
	var o outbox
	f(&o)
	h.unsent = append(h.unsent, o.list...)
	if h.group != nil { // nil: Join has not returned
		_ = h.sendUnsent(send)
	}
	h.wake()
}

// outbox keeps what is sent until it can be.
type outbox struct{ list []outgoing }

func (o *outbox) Send(l engine.Level, payload []byte) {
	o.list = append(o.list, outgoing{l, slices.Clone(payload)})
}

// handler is the machine as the engine calls it.
type handler[M Machine] struct{ h *Host[M] }

func (t handler[M]) Deliver(m *engine.Message) {
	t.h.event(func(out Out) { t.h.machine.Deliver(Message{m.From().ID, m.Level, m.Payload}, out) })
}

func (t handler[M]) View(v engine.GroupView) {
	h := t.h
	h.event(func(out Out) {
		if v.Expelled {
			h.life++
			h.unsent = nil
		}
		h.machine.View(View{v, h.node.Self().ID}, out)
	})
}

func (t handler[M]) Snapshot() (io.ReadCloser, error) {
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	return t.h.machine.Snapshot()
}

func (t handler[M]) Restore(r io.Reader) error {
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	return t.h.machine.Restore(r)
}
