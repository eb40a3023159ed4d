package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cohort/core"
	"cohort/engine/recorder"
	"cohort/groups"
	"cohort/internal/spool"
	"cohort/membership"
	"cohort/site"
	"cohort/transfer"
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
	filter  groups.Filter
	views   []GroupView // of records in the spool
	offers  []*offer    // likewise: snapshots to take
	running bool        // the state is being fetched
	cancel  context.CancelFunc
	cut     bool       // the result is not wanted any more
	last    *GroupView // to be shown then, when Restore has returned
	void    bool       // nor is it, but another's
	donor   uint64
	retried bool           // a donor has been asked a second time: see tooLate
	waits   bool           // what runs is no fetching: see awaitRing
	tried   []uint64       // IDs of donors that failed
	why     error          // the last one's failure
	broken  error          // the spool's
	fresh   *groups.Label  // nobody has a state any more
	done    bool           // a state is restored
	shown   bool           // and the handler has been told of the view that it belongs to
	head    *groups.Record // taken from the spool, refused by the handler's queue
	lead    int            // what may yet be kept while the handler catches up; see keep
	refused bool           // something has not been kept since
	scratch []byte
}

// newRestoring begins in the ring's view with this key.
func newRestoring(serial, ring uint64) *restoring {
	return &restoring{serial: serial, filter: groups.NewFilter(ring), spool: spool.New(spoolMemory), lead: catchUpLead}
}

// While a handler catches up, the spool grows by at most this, and then by one byte for
// two that are taken from it: a handler slower than the senders would else never be up
// to date, and Join not return.
const (
	catchUpLead = 1 << 20
	recordCost  = 64 // what a record counts for beside its payload, bytes
)

// keep puts a message into the spool; false if there is too much in it.
func (r *restoring) keep(n *Node, d *core.Delivery) bool {
	if r.spool.Bytes() > maxSpool || r.shown && r.lead <= 0 {
		r.refused = true
		return false
	}
	if r.shown {
		r.lead -= 2 * (recordCost + len(d.Payload))
	}
	r.append(groups.Record{
		At: d.Packet, Kind: d.Kind, Level: d.Level, Pos: d.Pos, Rank: d.Sender, Sender: n.view().Members[d.Sender].ID, Payload: d.Payload,
	})
	return true
}

// append adds a record. A spool that fails loses the join, not the node.
func (r *restoring) append(k groups.Record) {
	a, b := k.Words()
	r.scratch = k.Append(r.scratch[:0])
	if err := r.spool.Append(a, b, r.scratch); err != nil && r.broken == nil {
		r.broken = fmt.Errorf("engine: %w: keeping messages meanwhile: %w", ErrState, err)
	}
}

func (r *restoring) keepView(v GroupView) {
	r.views = append(r.views, v)
	r.append(groups.Record{Mark: groups.View, At: v.Num})
}

// ringPasses notes the ring's next view. A donor that has failed is waited for no more.
func (g *Group) ringPasses(c site.Change) {
	r := g.restore
	if r == nil {
		return
	}
	r.filter.Ended(groups.LabelAt(c.Ended, c.Next.Key()))
	r.append(groups.Record{Mark: groups.Ring, At: c.Next.Key()})
	if r.running && !r.hopes(c.Next) {
		r.cancel()
	}
}

// hopes tells whether the next view leaves somebody that is waited for.
func (r *restoring) hopes(v membership.View) bool {
	return r.waits && r.triedAny(v) || !r.waits && v.Rank(r.donor) >= 0
}

// triedAny tells whether a donor that failed is in the view.
func (r *restoring) triedAny(v membership.View) bool {
	return slices.ContainsFunc(r.tried, func(id uint64) bool { return v.Rank(id) >= 0 })
}

// keepOffer has a snapshot taken when the handler is as far as the node is now.
func (r *restoring) keepOffer(o *offer) {
	r.offers = append(r.offers, o)
	r.append(groups.Record{Mark: groups.Offer, At: uint64(len(r.offers) - 1)})
}

// failOffers withdraws what was promised of a state that has been given up.
func (n *Node) failOffers(r *restoring) {
	for i, o := range r.offers {
		if o != nil {
			r.offers[i] = nil
			n.offers.fail(o, errNoState)
		}
	}
}

var errNoState = errors.New("it has not got the state itself")

// orphaned notes that the state is not to be had: the group begins anew with v.
func (n *Node) orphaned(g *Group, v GroupView) {
	r := g.restore
	r.fresh, r.void = &groups.Label{Num: v.Num, Fresh: true}, false
	if r.running {
		r.cancel()
	} else { // between two donors
		n.results.add(g, r, fetched{})
	}
}

// startOver has the state come from another member: the group's is that member's
// now, whatever this one has got, or is getting, from those who are gone.
func (n *Node) startOver(g *Group) {
	if r := g.restore; r != nil && r.running {
		n.failOffers(r)
		r.void = true
		r.cancel()
		return
	}
	if r := g.dropRestore(); r != nil {
		n.groups.discards = append(n.groups.discards, discard{g, r})
	}
	n.restores(g, newRestoring(newID(), n.proc.Site().Key()))
	g.restore.keepView(n.groupView(n.roster.Table.Get(g.id)))
	n.operate(groups.Op{Kind: groups.Restart, Name: g.name, Serial: g.restore.serial})
}

// next takes the oldest record; nil if there is none.
func (r *restoring) next() *groups.Record {
	if h := r.head; h != nil {
		r.head = nil
		return h
	}
	a, b, p, ok, err := r.spool.Next()
	if !ok && err == nil {
		return nil
	}
	var k groups.Record
	if err == nil {
		k, err = groups.ParseRecord(a, b, p)
	}
	if err != nil {
		if r.broken == nil {
			r.broken = fmt.Errorf("engine: %w: reading what was kept: %w", ErrState, err)
		}
		return nil
	}
	r.lead = min(r.lead+recordCost+len(k.Payload), catchUpLead)
	return &k
}

// fetchFrom fetches the state from the member with this rank.
func (g *Group) fetchFrom(donor int, v membership.View) {
	n, r := g.node, g.restore
	if r == nil || r.running || r.fresh != nil {
		return
	}
	if donor < 0 {
		if r.why == nil {
			r.why = fmt.Errorf("engine: %w: no member has it", ErrState)
		} else if !errors.Is(r.why, transfer.ErrDonor) && r.triedAny(v) {
			g.awaitRing()
			return
		}
		n.results.add(g, r, fetched{err: r.why, own: true})
		return
	}
	from := v.Members[donor]
	ctx, cancel := context.WithCancel(context.Background())
	r.running, r.waits, r.cancel, r.donor = true, false, cancel, from.ID
	serial, self := r.serial, n.proc.Self().ID
	n.note(recorder.StateFetch, from.ID, 0, 0, g.name)
	ready := make(emptied)
	if g.queue != nil {
		n.enqueue(g.queue, ready)
	} else {
		close(ready)
	}
	n.work.Go(func() {
		n.label("state-fetch", groupLabel, g.name)
		defer cancel()
		n.cfg.Logger.Info("fetching a state", "group", g.name, "from", from.Name)
		select {
		case <-ready:
		case <-ctx.Done(): // so that nothing is fetched
		}
		n.results.add(g, r, n.fetchState(ctx, g, from, serial, self))
		_ = n.conn.Wake() // closed: nobody waits
	})
}

// awaitRing waits for the ring to say whether those who did not give the state have failed:
// a broken connection is heard of before the view that is without them. If they have, the
// state is one that has to begin anew, and if not, it cannot be had: unless somebody else
// is Ready by then.
func (g *Group) awaitRing() {
	n, r := g.node, g.restore
	ctx, cancel := context.WithTimeout(context.Background(), ringTimeouts*n.cfg.Timeout)
	r.running, r.waits, r.cancel = true, true, cancel
	why := r.why
	n.work.Go(func() {
		n.label("state-fetch", groupLabel, g.name)
		defer cancel()
		<-ctx.Done()
		n.results.add(g, r, fetched{err: why, own: true})
		_ = n.conn.Wake() // closed: nobody waits
	})
}

// ringTimeouts is how often the time within which a silent member is noticed the next view
// may take.
const ringTimeouts = 3

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

// restores makes r the bringing up to date of g; nil: it is.
func (n *Node) restores(g *Group, r *restoring) {
	if g.restore != nil {
		n.groups.restoring--
	}
	if g.restore = r; r != nil {
		n.groups.restoring++
	}
}

// endRestore drops the spool.
func (g *Group) endRestore() {
	if r := g.dropRestore(); r != nil {
		r.close()
	}
}

func (r *restoring) close() { _ = r.spool.Close() } // its file has no name any more

// dropRestore ends the restore, and returns it: its spool is the caller's. nil: there is none.
func (g *Group) dropRestore() *restoring {
	r := g.restore
	if r == nil {
		return nil
	}
	g.node.failOffers(r)
	g.node.restores(g, nil)
	c := &g.node.groups.catching
	*c = slices.DeleteFunc(*c, func(o *Group) bool { return o == g })
	return r
}

// discard is a spool that has been given up: the state to come contains it. The
// questions in it have yet to be declined.
type discard struct {
	g *Group
	r *restoring
}

// decline reads on in the discards, and tells whether there is more of them than limit records.
func (t *groupTable) decline(n *Node, limit int) (more bool) {
	for count := 0; len(t.discards) > 0; count++ {
		if count == limit {
			return true
		}
		d := t.discards[0]
		if k := d.r.next(); k != nil {
			n.decline(d.g, k)
			continue
		}
		d.r.close()
		t.discards = t.discards[1:]
	}
	return false
}

// catchUp goes on with the groups that are not up to date, and with what else waits
// for this node's groups. It reads at most limit records of each kind, and returns the
// number of messages delivered, that of records read, and whether there is more to do at
// once.
func (n *Node) catchUp(limit int) (count, read int, more bool) {
	n.takeBack()
	for _, k := range n.results.take() {
		n.restored(k.group, k.restore, k.fetched)
	}
	if len(n.groups.late) > 0 {
		n.catchUpQueues()
	}
	more = n.groups.decline(n, limit)
	for _, g := range slices.Clone(n.groups.catching) {
		if read == limit {
			break
		}
		if !n.showable(g) {
			continue
		}
		k, r, empty := n.drain(g, limit-read)
		count, read = count+k, read+r
		if empty {
			more = more || g.restore.refused
			n.upToDate(g)
		}
	}
	if more {
		read = limit
	}
	return count, read, more || read == limit
}

// restored takes what came of fetching a state.
func (n *Node) restored(g *Group, r *restoring, f fetched) {
	r.running = false
	if g.restore != r {
		return
	}
	if r.cut {
		g.endRestore()
		if r.last != nil && g.view.Num > 0 && !g.left() {
			n.show(g, *r.last)
		}
		if g.again {
			g.again = false
			n.rejoin(g)
		}
		return
	}
	if r.void {
		n.startOver(g)
		return
	}
	if r.fresh != nil {
		f = fetched{label: *r.fresh}
	}
	switch {
	case f.err == nil:
		r.done = true
		if r.fresh == nil {
			n.stats.loop.StatesRestored++
			n.note(recorder.StateDone, 0, 0, 0, g.name)
			n.cfg.Logger.Info("state restored", "group", g.name)
		}
		r.filter.Restored(f.label)
		if !slices.Contains(n.groups.catching, g) {
			n.groups.catching = append(n.groups.catching, g)
		}
	case r.waits && n.proc.Blocked(): // nobody can say anything
		g.awaitRing()
	case r.waits && r.spool.Bytes() <= maxSpool && n.unasked(g):
		n.askAgain(g)
	case n.tooLate(g, f):
		r.retried = true
		n.cfg.Logger.Info("a state is asked for again", "group", g.name, "error", f.err)
		n.askAgain(g)
	case f.own || r.spool.Bytes() > maxSpool: // no other donor can be asked for when nothing more is taken
		n.cannotRestore(g, f.err)
	default:
		n.restart(g, f.err)
	}
}

// tooLate tells whether the donor may have withdrawn its offer while the handler's queue was
// being emptied, which takes as long as the handler likes. It is asked once more: there may be
// no other.
func (n *Node) tooLate(g *Group, f fetched) bool {
	r := g.restore
	return g.queue != nil && !r.retried && !f.own && !errors.Is(f.err, transfer.ErrDonor) &&
		r.spool.Bytes() <= maxSpool && n.view().Rank(r.donor) >= 0
}

// restart has another member give the group's state.
func (n *Node) restart(g *Group, why error) {
	r := g.restore
	n.failOffers(r)
	n.stateFailed(r, why)
	n.cfg.Logger.Warn("a state could not be had", "group", g.name, "error", why)
	r.done = false
	r.why = fmt.Errorf("engine: %w: %w", ErrState, why)
	r.tried = append(r.tried, r.donor)
	n.askAgain(g)
}

// askAgain asks the ring for a donor that has not been tried.
func (n *Node) askAgain(g *Group) {
	r := g.restore
	r.serial = newID()
	n.operate(groups.Op{Kind: groups.Restart, Name: g.name, Serial: r.serial, Tried: r.tried})
}

// unasked tells whether somebody has the group's state who has not been asked for it.
func (n *Node) unasked(g *Group) bool {
	t := n.roster.Table
	return t.Donor(t.Get(g.id), n.rank(), g.restore.tried) >= 0
}

// stateFailed counts and records that r's state could not be had.
func (n *Node) stateFailed(r *restoring, why error) {
	n.stats.loop.StatesFailed++
	n.note(recorder.StateFailed, r.donor, 0, 0, why.Error())
}

var errUnbound = errors.New("its donor had delivered what the ring has lost since")

// showable tells whether the handler has been told of the view that its state belongs
// to. It is once it is certain that the state is what all others have at that place.
func (n *Node) showable(g *Group) bool {
	r := g.restore
	if r.shown {
		return true
	}
	yes, known := r.filter.Binds(groups.LabelAt(n.proc.Site().Machine(), n.proc.Site().After()))
	switch {
	case !known:
		return false
	case yes:
		r.shown = true
		return n.firstView(g, r.filter.Num())
	}
	n.groups.catching = slices.DeleteFunc(n.groups.catching, func(o *Group) bool { return o == g })
	n.restart(g, errUnbound)
	return false
}

// bound tells whether the group has a state to go on with, though it is not up to date.
func (n *Node) bound(g *Group) bool {
	r := g.restore
	if !r.done || r.shown {
		return r.shown
	}
	yes, _ := r.filter.Binds(groups.LabelAt(n.proc.Site().Machine(), n.proc.Site().After()))
	return yes
}

// operate submits an operation of this node's own accord, on the loop. One that
// comes while the ring cannot go on waits until it can: the others would else never
// know of it.
func (n *Node) operate(o groups.Op) {
	n.backlog.own(controlMeta, o.Append(nil), n.submits.End())
}

// cannotRestore leaves a group again whose state cannot be restored here.
func (n *Node) cannotRestore(g *Group, why error) {
	n.stateFailed(g.restore, why)
	n.cfg.Logger.Error("the group's state cannot be restored", "group", g.name, "error", why)
	g.mute, g.why = true, why
	g.leaving.Store(true)
	g.endRestore()
	n.operate(groups.Op{Kind: groups.Leave, Name: g.name})
}

// firstView shows the handler the group's view that its state belongs to; false if
// there is none.
func (n *Node) firstView(g *Group, num uint64) bool {
	r := g.restore
	i := slices.IndexFunc(r.views, func(v GroupView) bool { return v.Num == num })
	if i < 0 { // a donor that lies
		n.cannotRestore(g, fmt.Errorf("engine: %w: it is labelled with view %d of the group", ErrState, num))
		return false
	}
	v := r.views[i]
	self := slices.IndexFunc(v.Members, func(m membership.Member) bool { return m.ID == n.proc.Self().ID })
	if !slices.Contains(v.Joined, self) {
		v.Joined = append(slices.Clone(v.Joined), self)
	}
	g.away.Store(false) // the handler may send in the view that tells it so
	n.show(g, v)
	return true
}

// drain delivers from the spool what the state does not contain. It reads at most limit
// records: there may be a gigabyte of those that are contained. It returns the number of
// messages delivered, that of records read, and whether those were all.
func (n *Node) drain(g *Group, limit int) (count, read int, empty bool) {
	r := g.restore
	for read < limit {
		k := r.next()
		if k == nil {
			return count, read, true
		}
		read++
		skip := r.filter.Skips(k)
		switch {
		case k.Mark == groups.View:
			v := r.views[0]
			if r.views = r.views[1:]; !skip {
				n.show(g, v)
			}
		case skip:
			n.decline(g, k)
		case k.Mark == groups.Offer:
			if o := r.offers[k.At]; o != nil {
				r.offers[k.At] = nil
				n.takeSnapshot(g, o)
			}
		case k.Mark == groups.Message:
			sender := slices.IndexFunc(g.view.Members, func(m membership.Member) bool { return m.ID == k.Sender })
			if sender < 0 {
				continue
			}
			if !n.hand(g, sender, k.Level, k.Kind, k.Payload, nil) {
				r.head = k
				return count, read, false
			}
			count++
		}
	}
	return count, read, false
}

// upToDate ends the restore: from here on messages are delivered as they come.
func (n *Node) upToDate(g *Group) {
	r := g.restore
	if r.broken != nil {
		n.cannotRestore(g, r.broken)
		return
	}
	g.endRestore()
	n.operate(groups.Op{Kind: groups.Ready, Name: g.name})
	n.isIn(g)
}
