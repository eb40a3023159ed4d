package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"cohort/groups"
	"cohort/membership"
	"cohort/ring"
)

// Handler takes what a group delivers. It is called on the node's loop, by one
// call at a time, in delivery order: it must not block, for the whole node, and
// with it in the end the ring, waits for it, and expels it past Config.Timeout. Wrap
// it with Queued if it may.
//
// A handler may call Send, Reply and Decline: they never wait there. It may not call Join,
// Leave, Ask or AwaitMembers, which wait for the loop: they return ErrWouldBlock.
type Handler interface {
	// Deliver takes a message. It and its payload are borrowed until Deliver returns.
	Deliver(m *Message)
	// View tells who is in the group from here on, or why nothing comes any more. The
	// first view that a handler sees is the one that its own joining made.
	View(v GroupView)
}

// HandlerFunc is a Handler that ignores views.
type HandlerFunc func(m *Message)

// Deliver calls f.
func (f HandlerFunc) Deliver(m *Message) { f(m) }

// View does nothing.
func (f HandlerFunc) View(GroupView) {}

// GroupView is who is in a group until the next one. Views of a group come at the
// same place in the total order at every member; those that follow from a failure
// come after the same messages at all who go on.
type GroupView struct {
	Group   string
	Num     uint64              // counts the group's views, from 1
	Members []membership.Member // by rank in the group: who has been in it longest first. Shared: do not write to it
	Joined  []int               // ranks of those who were not in the view before
	Left    []Departed          // who was in it, and is not any more

	// Fresh is set in a stateful handler's first view, and in the first one after a
	// rejoin, if nobody has a state to give: the group's is the handler's initial one.
	Fresh bool

	// Blocked: too few members of the ring are left for anybody here to go on. Sends
	// fail with ErrNoQuorum and nothing is delivered until the ring goes on. If the group
	// has lost no member by then, no view tells of that: try to send.
	Blocked bool

	// Expelled: the ring has gone on without this node, for the Reason if that is known
	// (else 0). There are no Members. The node joins the ring and its groups again as a
	// new member: a stateful handler's Restore is called, and the next view tells that
	// it is back, and may send again. Messages that it sent last may be lost. One that is in Restore when it
	// is expelled is told after that.
	Expelled bool
	Reason   membership.Reason
}

// Departed is who is in a group no more, and why.
type Departed struct {
	membership.Member
	Reason membership.Reason // Left if it left the group or the ring
}

// Group is this node's membership in a process group.
type Group struct {
	// What each message looks at comes first and fills a cache line: where groups are many,
	// most of them are in no cache.
	node    *Node
	handler Handler
	queue   *queue      // if the handler is a queued one
	restore *restoring  // being brought up to the group's state. The holder of Node.mu's, as are:
	id      uint32      // number in the ring; 0: not in the group now
	mute    bool        // the handler gets nothing more: see why
	counter uint8       // of messages handed over: see groupCounts
	slot    uint32      // this node's own number of it
	away    atomic.Bool // expelled, and not back yet
	parting ring.Mark   // of this node's leave in the submit ring: what comes after it is not sent

	name     string
	out      atomic.Bool // gone is closed
	state    Stateful    // the handler, if it is stateful
	joined   chan struct{}
	gone     chan struct{}
	failed   error // why it is gone though nobody left it; read after gone
	asks     askTable
	size     atomic.Int32 // members
	leaving  atomic.Bool  // Leave has been called, or its Join has given up
	unwanted atomic.Bool  // by its Join, and nobody has told the ring yet

	// The holder of Node.mu's:
	view   GroupView // the last that the handler was told of
	asked  bool      // its join has been submitted in this membership of the ring
	again  bool      // join again once the restore that was cut short has ended
	parted bool      // its leave came before its join: see submitting
	why    error     // its state cannot be restored: it is being left
}

// MaxGroupName bounds a group's name, bytes.
const MaxGroupName = groups.MaxName

// groupTable is this node's own groups.
type groupTable struct {
	slots     []*Group // by Group.slot, once its join has been submitted
	catching  []*Group // being brought up to date from their spools
	discards  []discard
	rolls     map[who][]membership.Member // of the ring's view; see roll
	restoring int                         // groups with a restore
	late      []*queue                    // queues that views wait for
	givenUp   atomic.Bool

	mu     sync.Mutex
	last   uint32              // slot given last
	locals map[string]*Group   // joined here, or being joined
	queues map[*queue]struct{} // whose goroutines run
	inside map[uint64]struct{} // goroutines that call Restore, or read a snapshot
}

func (t *groupTable) init() {
	t.locals, t.queues, t.inside = map[string]*Group{}, map[*queue]struct{}{}, map[uint64]struct{}{}
}

func (t *groupTable) close() {
	for _, q := range t.late {
		q.close()
	}
	for _, g := range t.own() {
		g.cutShort()
		if g.queue != nil {
			g.queue.close()
		}
	}
}

// own lists this node's groups, in the order that they were joined.
func (t *groupTable) own() []*Group {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*Group, 0, len(t.locals))
	for _, g := range t.locals {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *Group) int { return int(a.slot) - int(b.slot) })
	return list
}

func (t *groupTable) local(name string) *Group {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.locals[name]
}

// at returns the group with this slot; nil if it has been left.
func (t *groupTable) at(slot uint32) *Group {
	if int(slot) >= len(t.slots) {
		return nil
	}
	return t.slots[slot]
}

func (t *groupTable) bind(g *Group) {
	for int(g.slot) >= len(t.slots) {
		t.slots = append(t.slots, nil)
	}
	t.slots[g.slot] = g
}

func (g *Group) left() bool { return g.out.Load() }

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

// Gone returns a channel that is closed when this node has left the group, or has given it
// up since it could not restore the group's state. It is not closed when the node ends: see
// Node.Done.
func (g *Group) Gone() <-chan struct{} { return g.gone }

// Size returns how many members the group has, as of the last view delivered.
func (g *Group) Size() int { return int(g.size.Load()) }

// Send multicasts payload, 0 to MaxMessage bytes, to the group at level l. It
// waits for room until ctx ends, and returns when payload is the caller's again:
// the message is then on its way, and reaches every member that stays. Messages
// of one goroutine are delivered in the order sent, across levels.
//
// Errors wrap ErrClosed, ErrNotMember, ErrTooLarge, ErrLevel, ErrConfig for a context that is
// nil, or the context's;
// ErrNoQuorum and ErrExpelled, at once, also when they come about while Send waits;
// inside a handler, which cannot wait, ErrWouldBlock. With an error, no member
// delivers the message.
func (g *Group) Send(ctx context.Context, l Level, payload []byte) error {
	if ctx == nil { // not only where it has to wait, so that it is found before there is load
		return errNoContext
	}
	return g.submit(ctx, true, l, kindPlain, payload)
}

// TrySend is Send, but returns an error that wraps ErrWouldBlock instead of waiting.
func (g *Group) TrySend(l Level, payload []byte) error {
	return g.submit(context.Background(), false, l, kindPlain, payload)
}

func (g *Group) submit(ctx context.Context, wait bool, l Level, kind uint8, payload []byte) error {
	if !l.Valid() {
		return fmt.Errorf("engine: %w: %v", ErrLevel, l)
	}
	if g.parting.Set() {
		return g.notIn()
	}
	if g.away.Load() {
		if err := g.node.refusal(); err != nil {
			return err
		}
		return errOutside
	}
	pos, err := g.node.send(ctx, wait, pack(g.slot, l, kind), payload)
	if g.parting.Zero() {
		return err
	}
	return g.besideLeave(pos, err)
}

// besideLeave returns what to say of a message that was sent at this position of the
// submit ring, with this error: another goroutine has called Leave.
func (g *Group) besideLeave(pos uint64, err error) error {
	if g.parting.Before(pos) && (err == nil || errors.Is(err, ErrExpelled)) {
		return g.notIn()
	}
	return err
}

func (g *Group) notIn() error { return fmt.Errorf("engine: %w: %q", ErrNotMember, g.name) }
