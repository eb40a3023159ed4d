package engine

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"cohort/core"
	"cohort/membership"
)

// Handler takes what a group delivers. It is called on the node's loop, by one
// call at a time, in delivery order: it must not block, for the whole node, and
// with it in the end the ring, waits for it. Wrap it with Queued if it may.
//
// A handler may call Send and Reply: they never wait there. It may not call Join,
// Leave or Ask, which wait for the loop: they return ErrWouldBlock.
type Handler interface {
	// Deliver takes a message. It and its payload are borrowed until Deliver returns.
	Deliver(m *Message)
	// View tells who is in the group from here on. The first view that a handler
	// sees is the one that its own joining made.
	View(v GroupView)
}

// HandlerFunc is a Handler that ignores views.
type HandlerFunc func(m *Message)

// Deliver calls f.
func (f HandlerFunc) Deliver(m *Message) { f(m) }

// View does nothing.
func (f HandlerFunc) View(GroupView) {}

// GroupView is who is in a group between two joins or leaves. Views of a group
// come at the same place in the total order at every member.
type GroupView struct {
	Group   string
	Num     uint64              // counts the group's views, from 1
	Members []membership.Member // by age, oldest first
	Ranks   []int               // their ranks in the ring's view
	Joined  []int               // ranks that were not in the view before
	Left    []int               // ranks that were
}

// Group is this node's membership in a process group.
type Group struct {
	node    *Node
	name    string
	handler Handler
	queue   *queue // if the handler is a queued one
	id      uint32
	adopted bool // guarded by groupTable.mu: joined, or just about to be
	joined  chan struct{}
	gone    chan struct{}
	size    atomic.Int32 // members
}

// MaxGroupName bounds a group's name, bytes.
const MaxGroupName = 255

// groupTable is every group of the ring as this node knows it. Joins and leaves
// are messages in the total order, so that all nodes number groups alike.
type groupTable struct {
	byID []*groupState
	ids  map[string]uint32

	mu     sync.Mutex
	locals map[string]*Group   // joined here, or being joined
	queues map[*queue]struct{} // whose goroutines run
}

type groupState struct {
	name    string
	views   uint64
	members uint64 // bit per rank
	local   *Group // nil if this node is not a member
}

func (t *groupTable) init() {
	t.byID = []*groupState{{}} // group 0 is the ring's own
	t.ids, t.locals, t.queues = map[string]uint32{}, map[string]*Group{}, map[*queue]struct{}{}
}

func (t *groupTable) close() {
	for _, s := range t.byID {
		if s.local != nil && s.local.queue != nil {
			s.local.queue.close()
		}
	}
}

// Control messages: an operation and a group's name.
const (
	opJoin  = 'J'
	opLeave = 'L'
)

// Join makes this node a member of the named group, 1 to MaxGroupName bytes, and
// returns once all members of the ring will see it as one. h gets the group's
// messages and views from then on.
func (n *Node) Join(ctx context.Context, name string, h Handler) (*Group, error) {
	if name == "" || len(name) > MaxGroupName {
		return nil, fmt.Errorf("engine: %w: group name of %d bytes, want 1 to %d", ErrConfig, len(name), MaxGroupName)
	}
	if h == nil {
		return nil, fmt.Errorf("engine: %w: group %q: the handler is nil", ErrConfig, name)
	}
	if n.onLoop() {
		return nil, fmt.Errorf("engine: %w: Join inside a handler", ErrWouldBlock)
	}
	g := &Group{node: n, name: name, handler: h, joined: make(chan struct{}), gone: make(chan struct{})}
	if q, ok := h.(queued); ok {
		g.handler, g.queue = q.h, newQueue(n, g, q)
	}
	if !n.groups.claim(g) {
		return nil, fmt.Errorf("engine: %w: group %q is joined already", ErrConfig, name)
	}
	err := n.send(ctx, true, pack(0, Total, kindControl), append([]byte{opJoin}, name...))
	if err == nil {
		err = n.await(ctx, g.joined)
	}
	if err != nil && n.groups.giveUp(g) {
		if g.queue != nil {
			g.queue.close()
		}
		return nil, fmt.Errorf("joining %q: %w", name, err)
	}
	<-g.joined // already, or just about to be
	return g, nil
}

// await waits for the loop to close done.
func (n *Node) await(ctx context.Context, done chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: %w", context.Cause(ctx))
	case <-n.stopped:
		return fmt.Errorf("engine: %w", ErrClosed)
	}
}

func (t *groupTable) claim(g *Group) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locals[g.name] != nil {
		return false
	}
	t.locals[g.name] = g
	return true
}

func (t *groupTable) disown(g *Group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locals[g.name] == g {
		delete(t.locals, g.name)
	}
}

// giveUp is disown for a Join that waits no more; false if it has succeeded meanwhile.
func (t *groupTable) giveUp(g *Group) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !g.adopted {
		delete(t.locals, g.name)
	}
	return !g.adopted
}

// adopt returns the group that has joined now. If its Join has given up, it is
// left again: under the lock, so that a next Join comes after that.
func (n *Node) adopt(name string) *Group {
	n.groups.mu.Lock()
	defer n.groups.mu.Unlock()
	g := n.groups.locals[name]
	if g == nil {
		n.abandon(name)
		return nil
	}
	g.adopted = true
	return g
}

// Leave ends the membership and returns once no more messages will be delivered;
// within a queued handler, once no more will be queued.
func (g *Group) Leave(ctx context.Context) error {
	n := g.node
	if n.onLoop() {
		return fmt.Errorf("engine: %w: Leave inside a handler", ErrWouldBlock)
	}
	if g.left() {
		return fmt.Errorf("engine: %w: %q", ErrNotMember, g.name)
	}
	if err := n.send(ctx, true, pack(0, Total, kindControl), append([]byte{opLeave}, g.name...)); err != nil {
		return err
	}
	if err := n.await(ctx, g.gone); err != nil || g.queue == nil {
		return err
	}
	if slices.Contains(n.groups.othersQueues(), g.queue) {
		return n.await(ctx, g.queue.ended)
	}
	return nil
}

func (g *Group) left() bool {
	select {
	case <-g.gone:
		return true
	default:
		return false
	}
}

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

// Size returns how many members the group has, as of the last view delivered.
func (g *Group) Size() int { return int(g.size.Load()) }

// Send multicasts payload, 0 to MaxMessage bytes, to the group at level l. It
// waits for room until ctx ends, and returns when payload is the caller's again:
// the message is then on its way, and reaches every member that stays. Messages
// of one goroutine are delivered in the order sent, across levels.
//
// Errors wrap ErrClosed, ErrNotMember, ErrTooLarge, ErrLevel, or the context's;
// inside a handler, which cannot wait, ErrWouldBlock. With an error, no member
// delivers the message.
func (g *Group) Send(ctx context.Context, l Level, payload []byte) error {
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
	if g.left() {
		return fmt.Errorf("engine: %w: %q", ErrNotMember, g.name)
	}
	return g.node.send(ctx, wait, pack(g.id, l, kind), payload)
}

// control carries out a join or leave, which all nodes do at the same place. It
// returns false, and does nothing, if this node's handler cannot take the view now.
func (n *Node) control(d *core.Delivery) bool {
	if len(d.Payload) < 2 {
		return true
	}
	s := n.groups.state(string(d.Payload[1:]))
	bit := uint64(1) << d.Sender
	joins := d.Payload[0] == opJoin
	if !joins && d.Payload[0] != opLeave || joins == (s.members&bit != 0) {
		return true // not an operation, or one without effect
	}
	local := s.local
	if joins && d.Sender == n.rank {
		local = n.adopt(s.name)
	}
	v := n.groupView(s, s.members^bit)
	if joins {
		v.Joined = []int{d.Sender}
	} else {
		v.Left = []int{d.Sender}
	}
	if local != nil && local.queue != nil && !local.queue.view(v) {
		return false
	}
	s.members ^= bit
	s.views++
	n.fence = true
	s.local = local
	if local == nil {
		return true
	}
	local.size.Store(int32(len(v.Ranks)))
	if local.queue == nil {
		local.handler.View(v)
	}
	if d.Sender == n.rank {
		n.moved(s, joins)
	}
	return true
}

// moved tells the waiting Join or Leave that it is done.
func (n *Node) moved(s *groupState, joins bool) {
	g := s.local
	if joins {
		g.id = n.groups.ids[s.name]
		close(g.joined)
		return
	}
	s.local = nil
	n.groups.disown(g)
	if g.queue != nil {
		g.queue.close()
	}
	close(g.gone)
}

// abandon leaves a group that a Join which has given up has joined all the same.
func (n *Node) abandon(name string) {
	if err := n.send(context.Background(), false, pack(0, Total, kindControl), append([]byte{opLeave}, name...)); err != nil {
		n.cfg.Logger.Warn("an abandoned join could not be taken back", "group", name, "error", err)
	}
}

func (n *Node) groupView(s *groupState, members uint64) GroupView {
	v := GroupView{Group: s.name, Num: s.views + 1}
	for ; members != 0; members &= members - 1 {
		r := bits.TrailingZeros64(members)
		v.Ranks = append(v.Ranks, r)
		v.Members = append(v.Members, n.view.Members[r])
	}
	return v
}

// state returns the named group, which gets the next number if it is new.
func (t *groupTable) state(name string) *groupState {
	id, ok := t.ids[name]
	if !ok {
		id = uint32(len(t.byID))
		t.ids[name] = id
		t.byID = append(t.byID, &groupState{name: name})
	}
	return t.byID[id]
}
