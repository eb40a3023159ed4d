// Package barrier has the members of a group meet, again and again: none goes on before
// all have come. See docs/toolkit/barrier.md for what is promised.
package barrier

import (
	"context"
	"errors"
	"fmt"

	"cohort/engine"
	"cohort/toolkit"
)

// Errors.
var (
	ErrBroken  = errors.New("a member has failed before all had come")
	ErrWaiting = errors.New("this member waits already")
)

// Barrier is a node's part in one. Its methods may be called from any goroutine, but not
// inside a handler of the node.
type Barrier struct {
	host *toolkit.Host[*machine]
}

// OnFailure is what becomes of a generation in which a member fails.
type OnFailure bool

const (
	GoOn  OnFailure = false // the others wait for it no more
	Break OnFailure = true  // it is over, with ErrBroken for all members
)

// Join makes the node a member of the barrier that is the named group, which should be
// used for nothing else. The first generation waits until there are so many parties, 1 or
// more; from then on each generation is of those who are in the group: who leaves or has
// failed is not waited for, and who joins is. Errors are those of engine.Node.Join, and
// engine.ErrConfig if parties or f are not as the others have them.
func Join(ctx context.Context, node *engine.Node, name string, parties int, f OnFailure) (*Barrier, error) {
	if parties < 1 || parties > maxMembers {
		return nil, fmt.Errorf("barrier: %w: %d parties, want 1 to %d", engine.ErrConfig, parties, maxMembers)
	}
	h, err := toolkit.Join(ctx, node, name, newMachine(uint32(parties), bool(f)))
	if err != nil {
		return nil, err
	}
	return &Barrier{h}, nil
}

// Wait waits until all members have come to this generation, and returns its number. What
// any of them had sent before it came, to any group, has been delivered here then. If ctx
// ends before, the others wait until this member comes again. Errors wrap ErrWaiting,
// ErrBroken, ctx's, and those of engine.Group.Send; engine.ErrExpelled, ErrNotMember or
// ErrClosed if they come about meanwhile.
//
// ErrBroken comes once for each member, also if the generation broke before it called Wait;
// the next Wait is for the next generation.
func (b *Barrier) Wait(ctx context.Context) (generation uint64, err error) {
	var w *wait
	err = b.host.DoAwait(ctx, func(m *machine, out toolkit.Out) error {
		if m.away() { // it knows of no generation
			return fmt.Errorf("barrier: %w", engine.ErrExpelled)
		}
		if w = m.arrive(out); w == nil {
			return fmt.Errorf("barrier: %w", ErrWaiting)
		}
		return nil
	}, func(*machine) (bool, error) { return w.over, w.err })
	if w == nil {
		return 0, err
	}
	if err != nil {
		b.host.Post(func(m *machine, out toolkit.Out) { m.withdraw(w, out) })
	}
	return w.generation, err
}

// Leave leaves the group: the others wait for this member no more. See engine.Group.Leave.
func (b *Barrier) Leave(ctx context.Context) error { return b.host.Leave(ctx) }
