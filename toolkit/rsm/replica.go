package rsm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"cohort/engine"
	"cohort/toolkit"
)

// UnknownError says that a proposal may or may not have been applied, or be yet.
// Replica.ProposeAs with its ID finds out, and applies it if it was not.
type UnknownError struct {
	ID  ID
	Err error // what kept the outcome from being known
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("rsm: the outcome of proposal %v is unknown: %v", e.ID, e.Err)
}

// Unwrap returns Err.
func (e *UnknownError) Unwrap() error { return e.Err }

// Replica is one member's copy of an application. Its methods may be called from any
// goroutine, but not inside a handler of the node, nor inside the application.
type Replica struct {
	node     *engine.Node
	host     *toolkit.Host[*machine]
	client   uint64
	drawn    atomic.Uint64
	broken   chan struct{} // closed when the storage has failed
	reason   error         // why it has; read after broken
	released chan struct{} // closed when the storage is not used any more
	cut      atomic.Bool   // a Leave has not seen the end of it
}

// Join makes the node a member of the named group with app as its copy, in the state of
// the others, or in its own if there are none. The application is the replica's from here
// on. Errors are those of engine.Node.Join and of app.Snapshot.
func Join(ctx context.Context, node *engine.Node, name string, app Application) (*Replica, error) {
	m, err := newMachine(app)
	if err != nil {
		return nil, err
	}
	r, err := join(ctx, node, name, m)
	if err != nil {
		return nil, err
	}
	close(r.released) // it has none
	return r, nil
}

func join(ctx context.Context, node *engine.Node, name string, m *machine) (r *Replica, err error) {
	r = &Replica{node: node, broken: make(chan struct{}), released: make(chan struct{})}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	r.client = binary.LittleEndian.Uint64(b[:])
	if r.host, err = toolkit.Join(ctx, node, name, m); err != nil {
		return nil, err
	}
	return r, nil
}

// NewID draws an ID for ProposeAs: for a program that writes down what it is about to do.
// One that is drawn before a group with disks runs may be refused with ErrForgotten: of
// what this disk has the group may lack the end.
func (r *Replica) NewID() ID { return ID{r.client, r.drawn.Add(1), r.Position()} }

// Position counts the commands that were delivered here since the group began.
func (r *Replica) Position() (p uint64) {
	r.host.Look(func(m *machine) { p = m.position })
	return p
}

// Propose has all copies apply the command, at most MaxCommand bytes, once, and returns
// the result of this member's, which is shared: do not write to it. A majority of the
// ring has the command then, so it is not lost unless they all fail. If the ring goes on
// without this node meanwhile, Propose finds out what has become of the command once it
// is back, and proposes it again if nothing has.
//
// An *UnknownError says that it may or may not be applied. With any other error it is
// not: those of engine.Group.Send, those that wrap ctx's, or the storage's.
func (r *Replica) Propose(ctx context.Context, command []byte) ([]byte, error) {
	for {
		result, err := r.propose(ctx, r.NewID(), command, false)
		if !errors.Is(err, ErrForgotten) {
			return result, err
		}
		var unknown *UnknownError
		if errors.As(err, &unknown) {
			return nil, err
		} // else its ID was old before it was first delivered: others were quick, or the group has begun anew
	}
}

// ProposeAs is Propose under an ID that NewID or an UnknownError has given: however often
// it is proposed and by whomever, it is applied once, and each time the result is that
// one's. The command must be the same. It may have been proposed before, so every
// error is an *UnknownError; after one that wraps ErrForgotten it is no use to try again.
func (r *Replica) ProposeAs(ctx context.Context, id ID, command []byte) ([]byte, error) {
	return r.propose(ctx, id, command, true)
}

// propose tries until the outcome is known. tried: the command may have been sent before.
func (r *Replica) propose(ctx context.Context, id ID, command []byte, tried bool) ([]byte, error) {
	if len(command) > MaxCommand {
		return nil, fmt.Errorf("rsm: %w: a command of %d bytes, want at most %d", engine.ErrTooLarge, len(command), MaxCommand)
	}
	for {
		o, sent := r.attempt(ctx, id, command)
		if o.err == nil {
			return o.result, nil
		}
		refused := errors.Is(o.err, ErrForgotten)
		if again := errors.Is(o.err, engine.ErrExpelled); !again {
			if tried || sent && !refused {
				return nil, &UnknownError{id, o.err}
			}
			return nil, fmt.Errorf("rsm: %w", o.err)
		}
		tried = tried || sent
	}
}

// attempt sends a proposal and waits for its outcome. sent: some may get it.
func (r *Replica) attempt(ctx context.Context, id ID, command []byte) (o outcome, sent bool) {
	if err := r.present(ctx); err != nil {
		return outcome{err: err}, false
	}
	done := make(chan outcome, 1)
	w := &waiter{func(o outcome) { done <- o }}
	err := r.host.Do(ctx, func(m *machine, out toolkit.Out) error {
		if !m.ready() {
			return engine.ErrExpelled
		}
		m.propose(id, command, out, w)
		return nil
	})
	if err != nil {
		r.host.Look(func(m *machine) { m.withdraw(id, w) })
		return outcome{err: err}, false
	}
	o, err = await(ctx, r, done)
	if err != nil {
		r.host.Look(func(m *machine) { m.withdraw(id, w) })
		return outcome{err: err}, true
	}
	return o, true
}

// present waits until this member is one of a group that goes on. One whose storage has
// failed is of no use to it.
func (r *Replica) present(ctx context.Context) error {
	for {
		err := r.host.Await(ctx, func(m *machine) (bool, error) {
			select {
			case <-r.broken:
				return false, r.reason
			default:
				return m.ready(), nil
			}
		})
		if !errors.Is(err, engine.ErrExpelled) {
			return err
		}
	}
}

// await waits for what done brings.
func await[T any](ctx context.Context, r *Replica, done <-chan T) (v T, err error) {
	select {
	case v = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-r.node.Done():
		err = engine.ErrClosed
	case <-r.host.Group().Gone():
		err = engine.ErrNotMember
	case <-r.broken:
		err = r.reason
	}
	return v, err
}

// Read has f look at the application, in a state that has every command whose proposer
// had been told its result, at any member, before Read was called: reads and commands are
// linearizable. It costs a message, which reads at the same time share. f must be quick,
// and not keep what it has seen unless it copies. It may be called again, if this node is
// expelled meanwhile: what counts is the last time. Errors wrap ctx's, engine.ErrClosed,
// engine.ErrNotMember or the storage's, or are those of engine.Group.Send.
func (r *Replica) Read(ctx context.Context, f func()) error {
	for {
		err := r.barrier(ctx)
		if err == nil {
			err = r.look(ctx, f)
		}
		if !errors.Is(err, engine.ErrExpelled) && !errors.Is(err, errAgain) {
			return wrap(err)
		}
	}
}

func wrap(err error) error {
	if err != nil {
		err = fmt.Errorf("rsm: read: %w", err)
	}
	return err
}

// look has f look, and waits until what it has seen cannot be lost.
func (r *Replica) look(ctx context.Context, f func()) error {
	done := make(chan error, 1)
	r.host.Look(func(m *machine) {
		f()
		m.whenDurable(m.position, func(err error) { done <- err })
	})
	err, stop := await(ctx, r, done)
	return errors.Join(err, stop)
}

func (r *Replica) barrier(ctx context.Context) error {
	if err := r.present(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	err := r.host.Do(ctx, func(m *machine, out toolkit.Out) error {
		if !m.ready() {
			return engine.ErrExpelled
		}
		m.reads.add(m, out, func(err error) { done <- err })
		return nil
	})
	if err != nil { // the barrier of others too: they send the next
		r.host.Look(func(m *machine) { m.reads.void(errAgain) })
		return err
	}
	err, stop := await(ctx, r, done)
	return errors.Join(err, stop)
}

// ReadLocal has f look at the application as it is here: it may lack what others have
// been told is done, and what it shows may be older than what another member has shown
// before. It costs no message. f is as in Read.
func (r *Replica) ReadLocal(f func()) { r.host.Look(func(*machine) { f() }) }

// Group returns the group that the replica is a member of.
func (r *Replica) Group() *engine.Group { return r.host.Group() }

// Released returns a channel that is closed when the storage is the caller's again: the
// group has been left, the node is closed, or the storage has failed, and no call of it is
// under way. Without a storage it is closed from the beginning.
func (r *Replica) Released() <-chan struct{} { return r.released }

// Leave leaves the group, and waits until Released. What waits ends with
// engine.ErrNotMember. Errors are those of engine.Group.Leave; and one that wraps ctx's, if
// the group is left and the storage is still in use. After an error Leave may be called again,
// and goes on with what is left to wait for.
func (r *Replica) Leave(ctx context.Context) error {
	err := r.host.Leave(ctx)
	gone := errors.Is(err, engine.ErrNotMember)
	if err == nil || gone && r.cut.Load() {
		err, gone = r.awaitStorage(ctx), false
	}
	if !gone {
		r.cut.Store(err != nil)
	}
	return err
}

// awaitStorage waits until Released.
func (r *Replica) awaitStorage(ctx context.Context) error {
	select {
	case <-r.released:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rsm: waiting for the storage: %w", context.Cause(ctx))
	}
}
