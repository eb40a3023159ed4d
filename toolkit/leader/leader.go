// Package leader elects a leader of a group: its oldest member. Each term has a number,
// greater than those of all terms before it and the same at all members, by which
// storage outside of the group refuses what a former leader still sends: a fencing
// number. See docs/toolkit/leader.md for what is promised by whom.
package leader

import (
	"context"
	"time"

	"cohort/engine"
	"cohort/toolkit"
)

// Election is a node's part in one. Its methods may be called from any goroutine, but not
// inside a handler of the node.
type Election struct {
	host *toolkit.Host[*machine]
}

// Term is a time for which this member leads.
type Term struct {
	Number uint64 // grows from term to term, and is the same at all members
	done   chan struct{}
}

// Done returns a channel that is closed as soon as this member knows that the term is
// over: it sees no quorum, has been expelled, or has left. Others may know before.
func (t *Term) Done() <-chan struct{} { return t.done }

// Join has the node stand for election in the named group, which should be used for
// nothing else. Errors are those of engine.Node.Join.
//
// Numbers begin with the time in microseconds of the oldest member's Join, so that they
// go on growing when all members had ended, if clocks were not set back meanwhile.
func Join(ctx context.Context, node *engine.Node, name string) (*Election, error) {
	h, err := toolkit.Join(ctx, node, name, newMachine(uint64(time.Now().UnixMicro())))
	if err != nil {
		return nil, err
	}
	e := &Election{h}
	go func() { // a node that fails shows its groups nothing any more
		select {
		case <-node.Done():
		case <-h.Group().Gone(): // nor does one that has given the group up
		}
		h.Look((*machine).end)
	}()
	return e, nil
}

// Await waits until this member leads and returns its term. Errors wrap ctx's,
// engine.ErrClosed, ErrNotMember, or ErrExpelled, after which it may be called again.
func (e *Election) Await(ctx context.Context) (*Term, error) {
	var t *Term
	err := e.host.Await(ctx, func(m *machine) (bool, error) {
		t = m.term
		return t != nil, nil
	})
	return t, err
}

// Current returns who leads, as this member knows it.
func (e *Election) Current() (s Standing) {
	e.host.Look(func(m *machine) { s = m.standing() })
	return s
}

// Changed waits until who leads is not as in last, and returns who does: of several
// changes in quick succession it may show only the latest. Errors are those of Await.
func (e *Election) Changed(ctx context.Context, last Standing) (s Standing, err error) {
	err = e.host.Await(ctx, func(m *machine) (bool, error) {
		s = m.standing()
		return s.Number != last.Number || s.Known != last.Known, nil
	})
	return s, err
}

// Leave leaves the group, and with it the lead; see engine.Group.Leave.
func (e *Election) Leave(ctx context.Context) error { return e.host.Leave(ctx) }
