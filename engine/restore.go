package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cohort/core"
	"cohort/groups"
	"cohort/internal/spool"
	"cohort/membership"
	"cohort/site"
)

// maxSpool is how much of a group's messages is kept while its state is restored,
// bytes of payload; past it the ring waits.
const maxSpool = 1 << 30

// spoolMemory is how much of that is kept in memory, bytes.
const spoolMemory = 8 << 20

// restoring is the bringing up to date of a group that this node joins: what comes
// for the group from the moment that its join is submitted goes into a spool; when
// the state has been restored, what that does not contain already is delivered from
// the spool, until it is empty.
type restoring struct {
	serial  uint64 // names the transfer
	spool   *spool.Spool
	ring    uint64      // key of the ring's view that the next record of the spool belongs to
	views   []GroupView // of marks in the spool
	rings   []uint64    // likewise: keys
	ends    []label     // of the ring's views that have ended meanwhile: all that there is of them
	running bool        // the state is being fetched
	cancel  context.CancelFunc
	cut     bool // the result is not wanted any more
	donor   uint64
	tried   []uint64 // IDs of donors that failed
	why     error    // the last one's failure
	broken  error    // the spool's
	fresh   *label   // nobody has a state any more
	label   label    // of the state, once it is restored
	shown   bool     // the handler has been told of the view that it belongs to
	passed  bool     // the spool is read past the label's view of the ring
	head    record   // taken from the spool, refused by the handler's queue
	scratch []byte
}

// record is an entry of the spool.
type record struct {
	mark    uint8
	kind    uint8
	level   Level
	pos     int
	at      uint64 // number of the packet, or of the view
	sender  uint64
	payload []byte
	ok      bool
}

// What a record is.
const (
	markMessage = iota
	markView
	markRing
)

func newRestoring(serial uint64) *restoring {
	return &restoring{serial: serial, spool: spool.New(spoolMemory)}
}

// keep puts a message into the spool; false if there is too much in it.
func (r *restoring) keep(n *Node, d *core.Delivery) bool {
	if r.spool.Bytes() > maxSpool {
		return false
	}
	if r.ring == 0 {
		r.ring = n.proc.Site().Key()
	}
	r.scratch = le.AppendUint64(r.scratch[:0], n.view().Members[d.Sender].ID)
	r.scratch = append(append(r.scratch, byte(d.Sender)), d.Payload...)
	r.append(markMessage|uint64(d.Kind)<<8|uint64(d.Level)<<16|uint64(d.Pos)<<32, d.Packet)
	return true
}

// append adds what is in scratch. A spool that fails loses the join, not the node.
func (r *restoring) append(a, b uint64) {
	if err := r.spool.Append(a, b, r.scratch); err != nil && r.broken == nil {
		r.broken = fmt.Errorf("engine: %w: keeping messages meanwhile: %w", ErrState, err)
	}
}

func (r *restoring) keepView(v GroupView) {
	r.views = append(r.views, v)
	r.scratch = r.scratch[:0]
	r.append(markView, uint64(len(r.views)-1))
}

// keepRing notes a change of the ring's view. A donor that has failed is waited for no more.
func (r *restoring) keepRing(c site.Change) {
	r.rings = append(r.rings, c.Next.Key())
	r.ends = append(r.ends, labelAt(c.Ended))
	r.scratch = r.scratch[:0]
	r.append(markRing, uint64(len(r.rings)-1))
	if r.running && c.Next.Rank(r.donor) < 0 {
		r.cancel()
	}
}

// binds tells whether all that the state contains is delivered, or to be delivered, at
// every member that goes on. A donor may have delivered what no other survivor has,
// and failed then: what it has given is worth nothing. That is known when this member
// has delivered as much, or the ring's view has ended; until then, known is false.
func (r *restoring) binds(now label) (yes, known bool) {
	if r.label.fresh {
		return true, true
	}
	for i := range r.ends {
		if r.ends[i].ring == r.label.ring {
			return r.ends[i].covers(&r.label), true
		}
	}
	yes = now.ring == r.label.ring && now.covers(&r.label)
	return yes, yes || now.ring != r.label.ring
}

// began notes the place of the join.
func (r *restoring) began(v GroupView, ring membership.View) {
	if r.ring == 0 {
		r.ring = ring.Key()
	}
	r.keepView(v)
}

// orphaned notes that the state is not to be had: the group begins anew with v.
func (r *restoring) orphaned(v GroupView) {
	r.fresh = &label{num: v.Num, fresh: true}
	if r.cancel != nil {
		r.cancel()
	}
}

// next takes the oldest record.
func (r *restoring) next() record {
	if r.head.ok {
		h := r.head
		r.head = record{}
		return h
	}
	a, b, p, ok, err := r.spool.Next()
	if err != nil && r.broken == nil {
		r.broken = fmt.Errorf("engine: %w: reading what was kept: %w", ErrState, err)
	}
	k := record{mark: uint8(a), kind: uint8(a >> 8), level: Level(a >> 16), pos: int(a >> 32), at: b, ok: ok && err == nil}
	if k.ok && k.mark == markMessage {
		k.sender, k.payload = le.Uint64(p), p[8:]
	}
	return k
}

// skips tells whether the state contains a record already.
func (r *restoring) skips(k record) bool {
	switch {
	case r.passed:
		return false
	case r.label.fresh:
		if k.mark == markView && r.views[k.at].Num == r.label.num {
			r.passed = true
		}
		return true
	case k.mark == markView:
		return r.views[k.at].Num <= r.label.num
	case k.mark == markRing:
		r.passed = r.ring == r.label.ring
		r.ring = r.rings[k.at]
		return true
	case r.ring != r.label.ring:
		return true
	}
	return r.label.has(int(k.payload[0]), k.at, k.pos)
}

// fetchFrom fetches the state from the member with this rank.
func (g *Group) fetchFrom(donor int, v membership.View, t *groups.Group[*Group]) {
	n, r := g.node, g.restore
	if r == nil || r.running || r.fresh != nil {
		return
	}
	if donor < 0 {
		if r.why == nil {
			r.why = fmt.Errorf("engine: %w: no member has it", ErrState)
		}
		n.results.add(g, r, fetched{err: r.why, own: true})
		return
	}
	from := v.Members[donor]
	ctx, cancel := context.WithCancel(context.Background())
	r.running, r.cancel, r.donor = true, cancel, from.ID
	serial, self := r.serial, n.proc.Self().ID
	n.work.Go(func() {
		defer cancel()
		n.cfg.Logger.Info("fetching a state", "group", g.name, "from", from.Name)
		n.results.add(g, r, n.fetchState(ctx, g, from, serial, self))
		_ = n.conn.Wake() // closed: nobody waits
	})
}

// cutShort ends a restore of which nothing is wanted any more.
func (g *Group) cutShort() {
	r := g.restore
	switch {
	case r == nil:
	case r.running:
		r.cut = true
		r.cancel()
	default:
		g.endRestore()
	}
}

// endRestore drops the spool.
func (g *Group) endRestore() {
	if g.restore == nil {
		return
	}
	_ = g.restore.spool.Close() // its file has no name any more
	g.restore = nil
	c := &g.node.groups.catching
	*c = slices.DeleteFunc(*c, func(o *Group) bool { return o == g })
}

// catchUp goes on with the groups that are not up to date, and with what else waits
// for this node's groups. It returns the number of messages delivered.
func (n *Node) catchUp(limit int) (count int) {
	n.takeBack()
	for _, k := range n.results.take() {
		n.restored(k.group, k.restore, k.fetched)
	}
	if len(n.groups.late) > 0 {
		n.catchUpQueues()
	}
	for _, g := range slices.Clone(n.groups.catching) {
		if !n.showable(g) {
			continue
		}
		k, empty := n.drain(g, limit-count)
		count += k
		if empty {
			n.upToDate(g)
		}
		if count >= limit {
			break
		}
	}
	return count
}

// restored takes what came of fetching a state.
func (n *Node) restored(g *Group, r *restoring, f fetched) {
	r.running = false
	if g.restore != r {
		return
	}
	if r.cut {
		g.endRestore()
		if g.again {
			g.again = false
			n.rejoin(g)
		}
		return
	}
	if r.fresh != nil {
		f = fetched{label: *r.fresh}
	}
	switch {
	case f.err == nil:
		r.label = f.label
		n.groups.catching = append(n.groups.catching, g)
	case f.own:
		n.cannotRestore(g, f.err)
	default:
		n.restart(g, f.err)
	}
}

// restart has another member give the group's state.
func (n *Node) restart(g *Group, why error) {
	r := g.restore
	n.cfg.Logger.Warn("a state could not be had", "group", g.name, "error", why)
	r.why = fmt.Errorf("engine: %w: %w", ErrState, why)
	r.tried = append(r.tried, r.donor)
	r.serial = newID()
	n.operate(g, groups.Op{Kind: groups.Restart, Name: g.name, Serial: r.serial, Tried: r.tried})
}

var errUnbound = errors.New("its donor had delivered what the ring has lost since")

// showable tells whether the handler has been told of the view that its state belongs
// to. It is once it is certain that the state is what all others have at that place.
func (n *Node) showable(g *Group) bool {
	r := g.restore
	if r.shown {
		return true
	}
	yes, known := r.binds(labelAt(n.proc.Site().Machine()))
	switch {
	case !known:
		return false
	case yes:
		r.shown = true
		return n.firstView(g)
	case r.fresh != nil:
		r.label = *r.fresh
		return n.showable(g)
	}
	n.groups.catching = slices.DeleteFunc(n.groups.catching, func(o *Group) bool { return o == g })
	n.restart(g, errUnbound)
	return false
}

// operate submits an operation of this node's own accord, on the loop. One that
// comes while the ring cannot go on waits until it can: the others would else never
// know of it.
func (n *Node) operate(g *Group, o groups.Op) {
	if err := n.backlog.add(controlMeta, o.Append(nil), n.submits.Pending()); err != nil {
		n.cfg.Logger.Error("an operation of a group could not be sent", "group", g.name, "operation", string(o.Kind), "error", err)
	}
}

// cannotRestore leaves a group again whose state cannot be restored here.
func (n *Node) cannotRestore(g *Group, why error) {
	n.cfg.Logger.Error("the group's state cannot be restored", "group", g.name, "error", why)
	g.why = why
	g.leaving.Store(true)
	g.endRestore()
	n.operate(g, groups.Op{Kind: groups.Leave, Name: g.name})
}

// firstView shows the handler the view that its state belongs to; false if there is none.
func (n *Node) firstView(g *Group) bool {
	r := g.restore
	i := slices.IndexFunc(r.views, func(v GroupView) bool { return v.Num == r.label.num })
	if i < 0 { // a donor that lies
		n.cannotRestore(g, fmt.Errorf("engine: %w: it is labelled with view %d of the group", ErrState, r.label.num))
		return false
	}
	v := r.views[i]
	self := slices.IndexFunc(v.Members, func(m membership.Member) bool { return m.ID == n.proc.Self().ID })
	if !slices.Contains(v.Joined, self) {
		v.Joined = append(slices.Clone(v.Joined), self)
	}
	n.show(g, v)
	return true
}

// drain delivers from the spool what the state does not contain.
func (n *Node) drain(g *Group, limit int) (count int, empty bool) {
	r := g.restore
	for count < limit {
		k := r.next()
		switch {
		case !k.ok:
			return count, true
		case r.skips(k):
		case k.mark == markView:
			n.show(g, r.views[k.at])
		case k.mark == markMessage:
			sender := slices.IndexFunc(g.view.Members, func(m membership.Member) bool { return m.ID == k.sender })
			if sender < 0 {
				continue
			}
			if !n.hand(g, sender, k.level, k.kind, k.payload[1:], nil) {
				r.head = k
				return count, false
			}
			count++
		}
	}
	return count, false
}

// upToDate ends the restore: from here on messages are delivered as they come.
func (n *Node) upToDate(g *Group) {
	r := g.restore
	if r.broken != nil {
		n.cannotRestore(g, r.broken)
		return
	}
	g.endRestore()
	n.operate(g, groups.Op{Kind: groups.Ready, Name: g.name})
	n.isIn(g)
}
