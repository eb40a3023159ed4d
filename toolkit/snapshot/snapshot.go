// Package snapshot tells in what state a group is as a whole: the states of all members,
// and the messages that are on their way between them, such that they could have been so
// at one moment. It is the snapshot of Chandy and Lamport, "Distributed Snapshots:
// Determining Global States of Distributed Systems" (1985), of which causal order makes
// one marker for all channels.
package snapshot

import (
	"context"
	"fmt"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// All is the address of all other members.
const All = 0

// The largest message and the largest state of a member, bytes.
const (
	MaxPayload = engine.MaxMessage - letterHead
	MaxState   = engine.MaxMessage - reportHead - membership.MaxMembers*countSize
)

// Send sends a message to the member with this ID, or to All; payload is the caller's
// again when it returns. It does not wait: what has no room is kept. Errors wrap
// engine.ErrTooLarge or ErrExpelled, and then nothing is sent.
type Send func(to uint64, payload []byte) error

// Handler is the program at one member. Its methods are called one at a time, on the
// node's loop: they must not block.
type Handler interface {
	// Deliver takes a message to this member, after all that caused it. The payload is
	// borrowed. It may send.
	Deliver(from uint64, payload []byte, send Send)
	// State returns this member's state for a snapshot, at most MaxState bytes.
	State() []byte
	// View tells who is in the group, and that this member is expelled.
	View(v toolkit.View)
}

// Member is this node's part in a group of which snapshots are taken.
type Member struct {
	node *engine.Node
	host *toolkit.Host[*machine]
}

// Join makes the node a member of the named group. Errors are those of engine.Node.Join.
func Join(ctx context.Context, node *engine.Node, name string, h Handler) (*Member, error) {
	if h == nil {
		return nil, fmt.Errorf("snapshot: %w: group %q: the handler is nil", engine.ErrConfig, name)
	}
	host, err := toolkit.Join(ctx, node, name, newMachine(h))
	if err != nil {
		return nil, err
	}
	return &Member{node, host}, nil
}

// Do has f look at the program's state, change it, and send: as one event, of which a
// snapshot has all or nothing. No method of the handler is called meanwhile. The error is
// f's, or wraps engine.ErrNotMember or ErrClosed, and then f has not run.
func (m *Member) Do(f func(send Send) error) error {
	select { // what the host keeps for a group that is gone is lost without a word
	case <-m.node.Done():
		return fmt.Errorf("snapshot: %w", engine.ErrClosed)
	case <-m.Group().Gone():
		return fmt.Errorf("snapshot: %w", engine.ErrNotMember)
	default:
	}
	err := fmt.Errorf("snapshot: %w", engine.ErrNotMember)
	m.host.Post(func(k *machine, out toolkit.Out) {
		err = f(func(to uint64, payload []byte) error { return k.send(to, payload, out) })
	})
	return err
}

// Snapshot is a state that the group could have been in as a whole.
type Snapshot struct {
	Members  []State   // by rank
	InFlight []Message // had been sent and not come; each sender's to each member in order
}

// State is that of one member.
type State struct {
	ID    uint64
	Null  bool // it has failed or left meanwhile, or its state is too large: it is not told, nor what was on its way to or from it
	State []byte
}

// Message is one on its way.
type Message struct {
	From, To uint64
	Payload  []byte
}

// Of returns a member's state; nil if it is not part of the snapshot.
func (s *Snapshot) Of(id uint64) *State {
	for i := range s.Members {
		if s.Members[i].ID == id {
			return &s.Members[i]
		}
	}
	return nil
}

// Take takes a snapshot of the group. Nobody stops for it. Errors are those of
// engine.Group.Send, or wrap ctx's, engine.ErrExpelled, ErrNotMember or ErrClosed.
func (m *Member) Take(ctx context.Context) (s *Snapshot, err error) {
	var num uint64
	defer m.host.Look(func(k *machine) { delete(k.cuts, num) })
	err = m.host.DoAwait(ctx, func(k *machine, out toolkit.Out) error {
		if k.away() { // the view that it comes back in would forget the snapshot
			return fmt.Errorf("snapshot: %w", engine.ErrExpelled)
		}
		num = k.take(out)
		return nil
	}, func(k *machine) (bool, error) {
		if c := k.cuts[num]; c != nil {
			s = c.done
		}
		return s != nil, nil
	})
	return s, err
}

// Leave leaves the group; see engine.Group.Leave.
func (m *Member) Leave(ctx context.Context) error { return m.host.Leave(ctx) }

// Group returns the group.
func (m *Member) Group() *engine.Group { return m.host.Group() }
