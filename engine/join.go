package engine

import (
	"context"
	"fmt"

	"cohort/groups"
	"cohort/ring"
)

// Join makes this node a member of the named group, 1 to MaxGroupName bytes, and
// returns once all members of the ring will see it as one. h gets the group's
// messages and views from then on. If h is Stateful and the group has a state, it is
// restored first; errors of that wrap ErrState or those of h.Restore.
//
// A ring has room for some 16 MiB of names of groups and 38 bytes for each; beyond that Join
// returns ErrConfig.
//
// The membership lasts until Leave or Close. If the ring goes on without this node,
// the node joins again by itself: see GroupView.
func (n *Node) Join(ctx context.Context, name string, h Handler) (*Group, error) {
	list, err := n.JoinAll(ctx, []string{name}, func(string) Handler { return h })
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// JoinAll is Join for many groups at once: their joins share packets and places in the
// total order, so that thousands take a fraction of a second. It returns the groups
// in the order of their names, each with the handler that handler returns for it, and
// when all are joined. With an error, which is that of the first that could not be
// joined, this node is a member of none of them.
func (n *Node) JoinAll(ctx context.Context, names []string, handler func(name string) Handler) ([]*Group, error) {
	if n.onLoop() {
		return nil, fmt.Errorf("engine: %w: Join inside a handler waits for the handler to return: call it on another goroutine", ErrWouldBlock)
	}
	switch {
	case ctx == nil:
		return nil, errNoContext
	case handler == nil:
		return nil, fmt.Errorf("engine: %w: %d groups: the function that returns their handlers is nil", ErrConfig, len(names))
	}
	list, sent := make([]*Group, 0, len(names)), 0
	err := func() error {
		for _, name := range names {
			g, err := n.newGroup(ctx, name, handler(name))
			if err != nil {
				return err
			}
			list = append(list, g)
		}
		for _, g := range list {
			if err := n.sendOp(ctx, n.joinOp(g), nil); err != nil {
				return fmt.Errorf("joining %q: %w", g.name, err)
			}
			sent++
		}
		for _, g := range list {
			if err := n.awaitJoin(ctx, g); err != nil {
				return fmt.Errorf("joining %q: %w", g.name, err)
			}
		}
		return nil
	}()
	if err != nil {
		n.giveUp(list[:sent])
		for _, g := range list[sent:] {
			n.groups.disown(g)
			g.drop()
		}
		return nil, err
	}
	return list, nil
}

// newGroup makes this node's group of that name, which nobody knows of yet.
func (n *Node) newGroup(ctx context.Context, name string, h Handler) (*Group, error) {
	if name == "" || len(name) > MaxGroupName {
		return nil, fmt.Errorf("engine: %w: group name of %d bytes, want 1 to %d", ErrConfig, len(name), MaxGroupName)
	}
	g := &Group{node: n, name: name, handler: h, joined: make(chan struct{}), gone: make(chan struct{})}
	q, isQueued := h.(queued)
	if isQueued {
		g.handler = q.h
	}
	if f, ok := g.handler.(HandlerFunc); g.handler == nil || ok && f == nil {
		return nil, fmt.Errorf("engine: %w: group %q: the handler is nil", ErrConfig, name)
	}
	if isQueued {
		g.queue = newQueue(n, g, q)
	}
	g.state, _ = g.handler.(Stateful)
	if err := n.claim(ctx, g); err != nil {
		g.drop()
		return nil, fmt.Errorf("joining %q: %w", name, err)
	}
	return g, nil
}

// drop ends a group that no one but its Join knows.
func (g *Group) drop() {
	if g.queue != nil {
		g.queue.close()
	}
}

func (n *Node) joinOp(g *Group) groups.Op {
	return groups.Op{Kind: groups.Join, Name: g.name, Stateful: g.state != nil, Serial: newID()}
}

// sendOp sends an operation on groups; mark may be nil.
func (n *Node) sendOp(ctx context.Context, o groups.Op, mark *ring.Mark) error {
	b := o.Append(nil)
	err := n.sendable(b)
	if err == nil {
		_, err = n.push(ctx, true, controlMeta, b, mark)
	}
	if err == nil {
		n.nudge()
	}
	return err
}

// awaitJoin waits until g is joined, or cannot be.
func (n *Node) awaitJoin(ctx context.Context, g *Group) error {
	select {
	case <-g.joined:
		return nil
	case <-g.gone:
		return g.failed
	case <-ctx.Done():
		return fmt.Errorf("engine: %w", context.Cause(ctx))
	case <-n.ending:
		return errClosed
	}
}

// await waits for the loop to close done.
func (n *Node) await(ctx context.Context, done chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: %w", context.Cause(ctx))
	case <-n.ending:
		return errClosed
	}
}

// claim makes g this node's group of its name. One that is being left is waited for.
func (n *Node) claim(ctx context.Context, g *Group) error {
	for {
		other := n.groups.claim(g)
		switch {
		case other == nil:
			return nil
		case !other.leaving.Load():
			return fmt.Errorf("engine: %w: the group is joined already", ErrConfig)
		}
		if err := n.await(ctx, other.gone); err != nil {
			return err
		}
	}
}

// claim enters g, or returns who has its name.
func (t *groupTable) claim(g *Group) (other *Group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other = t.locals[g.name]; other != nil {
		return other
	}
	t.last++
	g.slot = t.last
	t.locals[g.name] = g
	return nil
}

func (t *groupTable) disown(g *Group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locals[g.name] == g {
		delete(t.locals, g.name)
	}
}

// giveUp ends Joins that wait no more. The loop leaves the groups again, now or when
// they have been joined.
func (n *Node) giveUp(list []*Group) {
	for _, g := range list {
		if g.leaving.CompareAndSwap(false, true) {
			g.unwanted.Store(true)
			n.groups.givenUp.Store(true)
		}
	}
	_ = n.conn.Wake() // closed: there is nothing to leave
}

// takeBack leaves the groups whose Joins have given up.
func (n *Node) takeBack() {
	if !n.groups.givenUp.Load() || !n.roster.Known() {
		return
	}
	n.groups.givenUp.Store(false)
	for _, g := range n.groups.own() {
		if g.id != 0 {
			n.abandon(g)
		}
	}
}

// abandon leaves a group if its Join has given up.
func (n *Node) abandon(g *Group) {
	if g.unwanted.CompareAndSwap(true, false) {
		n.operate(groups.Op{Kind: groups.Leave, Name: g.name})
	}
}

// Leave ends the membership and returns once no more messages will be delivered;
// within a queued handler, once no more will be queued. What this node has sent to
// the group is delivered before; from some moment during the call on Send returns
// ErrNotMember. If ctx ends, the node leaves all the same, unless the error says that it
// was waiting for room; Leave may be called again, to wait for it.
func (g *Group) Leave(ctx context.Context) error { return g.node.LeaveAll(ctx, []*Group{g}) }

// LeaveAll is Leave for many groups of this node at once, as JoinAll is Join. It returns
// the first error; those groups that can be left are left all the same.
func (n *Node) LeaveAll(ctx context.Context, list []*Group) (first error) {
	if n.onLoop() {
		return fmt.Errorf("engine: %w: Leave inside a handler waits for the handler to return: call it on another goroutine", ErrWouldBlock)
	}
	if ctx == nil {
		return errNoContext
	}
	inside := n.groups.onQueue()
	if inside != nil {
		inside.parting.Store(true)
		defer inside.parting.Store(false)
		_ = n.conn.Wake() // closed: nobody waits for room
	}
	note := func(err error) bool {
		if first == nil {
			first = err
		}
		return err == nil
	}
	going := make([]*Group, 0, len(list))
	for _, g := range list {
		if note(g.beginLeave(ctx, n)) {
			going = append(going, g)
		}
	}
	for _, g := range going {
		if note(n.await(ctx, g.gone)) && g.queue != nil && inside == nil {
			note(n.await(ctx, g.queue.ended))
		}
	}
	return first
}

// beginLeave tells the ring that n leaves the group.
func (g *Group) beginLeave(ctx context.Context, n *Node) error {
	if g == nil {
		return fmt.Errorf("engine: %w: a group to be left is nil", ErrConfig)
	}
	if g.node != n {
		return fmt.Errorf("engine: %w: %q is another node's group", ErrConfig, g.name)
	}
	if err := n.takeTurn(waits{ctx, context.Background()}, n.parting); err != nil { // an earlier call may wait for room, and its context end
		return err
	}
	defer func() { <-n.parting }()
	switch {
	case g.left():
		return g.notIn()
	case g.leaving.CompareAndSwap(false, true):
	case g.parting.Set(): // an earlier call has stopped waiting, or still does
		return nil
	default:
		return g.notIn()
	}
	err := n.sendOp(ctx, groups.Op{Kind: groups.Leave, Name: g.name}, &g.parting)
	if err != nil {
		g.leaving.Store(false)
	}
	return err
}
