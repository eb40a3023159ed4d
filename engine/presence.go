package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"cohort/membership"
)

// standing is where a node stands with its ring.
type standing uint8

const (
	outside standing = iota // looks for a ring, for the first time or again
	inView
	blocked // in a view of which too few members are left
)

// presence is what other goroutines may know of the node's place in the ring.
type presence struct {
	at atomic.Pointer[place]
}

// place is a node's place in the ring until the next one is known.
type place struct {
	standing standing
	view     membership.View
	rank     int
	err      error         // why nothing can be sent; nil: it can
	over     chan struct{} // closed when this is not true any more
	halt     context.Context
	end      context.CancelCauseFunc // of halt
}

func (p *presence) init() { p.set(place{standing: outside, err: errOutside}) }

func (p *presence) now() *place { return p.at.Load() }

var (
	errClosed  = fmt.Errorf("engine: %w", ErrClosed)
	errOutside = fmt.Errorf("engine: %w", ErrExpelled)
	errBlocked = fmt.Errorf("engine: %w", ErrNoQuorum)
)

// set publishes a new place. Senders that wait go on waiting only if both places
// let them send.
func (p *presence) set(next place) {
	old := p.at.Load()
	next.over = make(chan struct{})
	if old != nil && old.err == nil && next.err == nil {
		next.halt, next.end = old.halt, old.end
	} else {
		next.halt, next.end = context.WithCancelCause(context.Background())
	}
	p.at.Store(&next)
	if old == nil {
		return
	}
	close(old.over)
	if next.err != nil {
		old.end(next.err)
	}
}

// refusal returns why nothing can be sent now; nil: it can.
func (n *Node) refusal() error { return n.presence.now().err }

// waits is how long a call waits: until its context ends or, with the reason as its
// cause, halt does, since the node cannot send any more.
type waits struct{ ctx, halt context.Context }

// whileIn returns how long a call with this context waits. The error says why not at all.
func (n *Node) whileIn(ctx context.Context) (waits, error) {
	p := n.presence.now()
	return waits{ctx, p.halt}, p.err
}

// stands tells whether err is about the node's standing.
func stands(err error) bool { return err == errClosed || err == errBlocked || err == errOutside }
