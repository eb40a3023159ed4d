package engine

import (
	"fmt"
	"math/bits"

	"cohort/core"
	"cohort/engine/recorder"
	"cohort/groups"
	"cohort/membership"
	"cohort/site"
)

// This file is what happens to groups: by operations of their members, which are
// messages in the total order, and by changes of the ring's view.

// view returns the ring's view, as of what has been delivered.
func (n *Node) view() membership.View { return n.presence.now().view }

// rank returns this node's rank in it.
func (n *Node) rank() int { return n.presence.now().rank }

// submitting prepares for what an operation of this node's own will do, just before
// it is packed: from here on all that comes for a group that is being joined is kept,
// since the state that it will get may lack it. What was delivered here before is in
// the past of the operation, and so is in that state. It is false for a join that is not
// to be sent: nobody wants it any more, or it is the second one, since the node came back
// into the ring and joined its groups again while their Joins were still in the queue. Nor is
// a leave that overtakes such a join sent, nor that join: the group is gone when its turn comes.
func (n *Node) submitting(payload []byte) bool {
	o, ok := groups.ParseOp(payload)
	if !ok || o.Kind != groups.Join && o.Kind != groups.Leave {
		return true
	}
	g := n.groups.local(o.Name)
	switch {
	case o.Kind == groups.Leave:
		if g == nil || g.asked || !g.leaving.Load() {
			return true
		}
		g.parted = true
		return false
	case g == nil || g.asked:
		return false
	case g.parted:
		n.isGone(g, g.why)
		return false
	}
	g.asked = true
	if n.groups.at(g.slot) != g { // else it joins again
		n.groups.bind(g)
		n.stats.groups.enter(g)
	}
	if g.state != nil {
		n.restores(g, newRestoring(o.Serial, n.proc.Site().Key()))
		if t := n.roster.Table.Find(o.Name); t != nil {
			t.Local = g
		}
	}
	return true
}

// control takes an operation, which all nodes carry out at the same place.
func (n *Node) control(d *core.Delivery) {
	o, ok := groups.ParseOp(d.Payload)
	if ok && n.roster.Op(d.Sender, o) { // else a fence, or a broken sender
		n.apply(d.Sender, o)
	}
}

// apply carries out an operation of the member with this rank.
func (n *Node) apply(sender int, o groups.Op) {
	n.recent = nil
	own := sender == n.rank()
	e := n.roster.Table.Apply(sender, o)
	if own && e.Full {
		n.refused(e.Group, o.Name)
	}
	if !e.Done {
		return
	}
	t := e.Group
	switch o.Kind {
	case groups.Join:
		n.fence = true
		n.joins(t, sender, own, o, e)
	case groups.Leave:
		n.fence = true
		n.leaves(t, sender, own)
	case groups.Ready:
		if g := t.Local; g != nil && g.restore != nil && g.restore.running && g.restore.waits {
			g.restore.cancel() // there is somebody to ask
		}
	case groups.Restart:
		if own && t.Local != nil {
			t.Local.fetchFrom(e.Donor, n.view())
		}
	}
	if e.Donor == n.rank() && t.Local != nil && t.Local.state != nil {
		n.offer(t, n.view().Members[sender].ID, o.Serial)
	}
}

// refused ends a Join, or a rejoin, for which there is no room; t is nil where the group
// has no members.
func (n *Node) refused(t *groups.Group[*Group], name string) {
	if g := n.groups.local(name); g != nil && g.id == 0 {
		if t != nil {
			t.Local = nil // a stateful one has been keeping what comes
		}
		n.isGone(g, fmt.Errorf("engine: %w: joining %q: the ring has no room for more: %d groups", ErrConfig, name, n.roster.Table.Len()))
	}
}

// joins carries out a join in the group's own terms.
func (n *Node) joins(t *groups.Group[*Group], sender int, own bool, o groups.Op, e groups.Effect[*Group]) {
	if own {
		if t.Local = n.groups.local(o.Name); t.Local == nil {
			return
		}
		t.Local.id = t.ID
		n.abandon(t.Local)
	} else if t.Local == nil { // it may be the first member of a group that this node is joining
		if g := n.groups.local(o.Name); g != nil && g.restore != nil {
			t.Local = g
		}
	}
	g := t.Local
	if g == nil || g.id == 0 {
		return
	}
	v := n.groupView(t)
	v.Joined = []int{t.Rank(sender)}
	v.Fresh = own && e.Fresh
	if own && g.state != nil && !e.Fresh {
		n.tell(g, v)
		g.fetchFrom(e.Donor, n.view())
		return
	}
	if own {
		g.endRestore()
		g.away.Store(false) // the handler may send in the view that tells it so
		n.tell(g, v)
		n.isIn(g)
		return
	}
	n.tell(g, v)
}

// isIn ends a Join.
func (n *Node) isIn(g *Group) {
	select {
	case <-g.joined:
	default:
		if !g.leaving.Load() {
			close(g.joined)
		}
	}
}

// leaves carries out a leave.
func (n *Node) leaves(t *groups.Group[*Group], sender int, own bool) {
	g := t.Local
	if g == nil || g.id == 0 {
		return
	}
	v := n.groupView(t)
	v.Left = []Departed{{n.view().Members[sender], membership.Left}}
	n.tell(g, v)
	if own {
		t.Local = nil
		n.isGone(g, g.why)
	}
}

// isGone ends the membership.
func (n *Node) isGone(g *Group, why error) {
	g.cutShort()
	g.parting.SetAll()
	g.id, g.failed = 0, why
	n.groups.disown(g)
	if n.groups.at(g.slot) == g {
		n.groups.slots[g.slot] = nil
	}
	n.stats.groups.leave(g)
	if q := g.queue; q != nil {
		if q.last = len(q.late) > 0; !q.last {
			q.close()
		}
	}
	if g.out.CompareAndSwap(false, true) { // nobody can ask any more
		close(g.gone)
	}
	g.asks.fail(fmt.Errorf("engine: %w: %q has been left", ErrNotMember, g.name))
}

func (n *Node) groupView(t *groups.Group[*Group]) GroupView {
	return GroupView{Group: t.Name, Num: t.Views, Members: n.groups.roll(n.view(), who{t.Members, t.Order})}
}

// maxRolls bounds the sets of members that are kept for the next group that has the same.
const maxRolls = 256

// who is in a group: ranks in the ring, a bit each, and their order by age in the group.
type who struct {
	members uint64
	order   groups.Order
}

// roll lists these members of the ring's view by age in the group. Groups that have the
// same ones share the list: of many groups it would else be most of the memory.
func (t *groupTable) roll(v membership.View, w who) []membership.Member {
	list, ok := t.rolls[w]
	if ok {
		return list
	}
	if t.rolls == nil || len(t.rolls) == maxRolls {
		t.rolls = map[who][]membership.Member{}
	}
	ranks := w.order.Ranks(w.members)
	list = make([]membership.Member, len(ranks))
	for i, r := range ranks {
		list[i] = v.Members[r]
	}
	t.rolls[w] = list
	return list
}

// tell hands the handler a view, in its place.
func (n *Node) tell(g *Group, v GroupView) {
	g.asks.view(&v)
	if g.restore != nil {
		g.restore.keepView(v)
		return
	}
	n.show(g, v)
}

// show is tell for a group that is up to date.
func (n *Node) show(g *Group, v GroupView) {
	if g.mute {
		return // it has no state, and is being left
	}
	g.size.Store(int32(len(v.Members)))
	g.view = v
	if g.queue != nil {
		n.enqueue(g.queue, v)
		return
	}
	g.handler.View(v)
}

// sink is the node as the protocol delivers to it.
type sink Node

// Deliver takes a message.
func (s *sink) Deliver(d *core.Delivery) bool { return (*Node)(s).deliver(d) }

// View takes a change of the ring's view.
func (s *sink) View(c site.Change) {
	n := (*Node)(s)
	n.recent, n.groups.rolls = nil, nil
	switch {
	case c.Blocked:
		n.block()
	case c.Out:
		n.expel(c)
	case len(c.Old.Members) == 0:
		n.enter(c.Next)
	default:
		n.pass(c)
	}
}

// block tells everybody that nothing goes on.
func (n *Node) block() {
	n.publish() // who is suspected is told first
	n.note(recorder.Blocked, 0, uint64(len(n.view().Members)), 0, "")
	n.dump(dumpBlocked)
	n.cfg.Logger.Warn("too few members are left to go on", "view", n.view().Num, "members", len(n.view().Members))
	n.presence.set(place{standing: blocked, view: n.view(), rank: n.rank(), err: errBlocked})
	for _, g := range n.groups.own() {
		if g.id != 0 {
			v := n.groupView(n.roster.Table.Get(g.id)) // g.view may be older: its state may be being restored
			v.Blocked = true
			n.tell(g, v)
		}
	}
	n.publish()
}

// enter begins the membership in a ring.
func (n *Node) enter(v membership.View) {
	n.stats.loop.Views++
	n.presence.set(place{standing: inView, view: v, rank: v.Rank(n.proc.Self().ID)})
	n.roster.Enter(v, n.rank())
	n.observeView(v)
	n.cfg.Logger.Info("in the ring", "view", v.Num, "members", len(v.Members), "rank", n.rank(),
		"segment", v.Segment(), "receive_buffer", v.RecvBuffer())
	n.learned()
	n.publish()
}

// arrived ends Open or, after an expulsion, has the node join its groups again.
func (n *Node) arrived() {
	select {
	case <-n.formed:
		for _, g := range n.groups.own() {
			n.rejoin(g)
		}
	default:
		close(n.formed)
	}
}

// rejoin joins a group again, or waits for the restore that was cut short.
func (n *Node) rejoin(g *Group) {
	if g.again = g.restore != nil && g.restore.running; g.again {
		return
	}
	n.operate(n.joinOp(g))
}

// pass goes from one view to the next.
func (n *Node) pass(c site.Change) {
	v := c.Next
	n.stats.loop.Views++
	n.stats.past.Add(&c.Stats)
	n.presence.set(place{standing: inView, view: v, rank: v.Rank(n.proc.Self().ID)})
	n.sending.rest, n.sending.stuck = n.sending.whole, false
	n.observeGone(&c)
	n.observeView(v)
	n.cfg.Logger.Info("view", "view", v.Num, "members", len(v.Members), "rank", n.rank(),
		"joined", len(v.Joined()), "gone", gone(c))
	reasons := make([]membership.Reason, len(c.Old.Members))
	for _, d := range c.Gone {
		reasons[d.Rank] = d.Reason
		n.offers.gone(c.Old.Members[d.Rank].ID)
	}
	shifts := n.roster.Pass(v, n.rank())
	if !n.roster.Known() {
		return
	}
	for _, g := range n.groups.own() {
		g.ringPasses(c)
	}
	for _, s := range shifts {
		if s.Group.Local != nil && s.Group.Local.id != 0 {
			n.shift(c, s, reasons)
		}
	}
	n.mailRoster(n.roster.Welcome(), nil)
	n.publish()
}

// gone lists who is not in the next view, for the log.
func gone(c site.Change) []string {
	list := []string{}
	for _, d := range c.Gone {
		list = append(list, fmt.Sprintf("%s (%v)", c.Old.Members[d.Rank].Name, d.Reason))
	}
	return list
}

// shift tells a group which of its members have gone with the ring's view.
func (n *Node) shift(c site.Change, s groups.Shift[*Group], reasons []membership.Reason) {
	g, v := s.Group.Local, n.groupView(s.Group)
	for m := s.Lost; m != 0; m &= m - 1 {
		r := bits.TrailingZeros64(m)
		v.Left = append(v.Left, Departed{c.Old.Members[r], reasons[r]})
	}
	switch {
	case s.Fresh < 0 || g.state == nil:
	case s.Fresh != n.rank():
		n.startOver(g)
	case g.restore != nil && !n.bound(g):
		n.cfg.Logger.Error("all who had the group's state have failed: it begins anew", "group", g.name)
		v.Fresh = true
		n.orphaned(g, v)
	}
	n.tell(g, v)
}

// expel ends the membership in the ring: for good if this node is leaving, and else
// until it has joined again.
func (n *Node) expel(c site.Change) {
	n.stats.past.Add(&c.Stats)
	why := c.Why
	left := why == membership.Left
	if !left {
		n.stats.loop.Expelled++
		text := "not known"
		if why != 0 {
			text = why.String()
		}
		n.note(recorder.Expelled, 0, 0, 0, text)
		if why != membership.Merged { // that is in order
			n.dump(dumpExpelled)
		}
		n.cfg.Logger.Warn("the ring has gone on without this node", "view", c.Old.Num, "reason", text)
	}
	self := n.view().Members[n.rank()]
	err := errOutside
	if left {
		err = errClosed
	}
	n.presence.set(place{standing: outside, view: n.view(), rank: n.rank(), err: err})
	if lost := n.failSends(err); !left {
		n.stats.loop.MessagesLost += uint64(lost)
	}
	n.fence = false
	n.roster.Out()
	n.offers.clear()
	n.groups.catching = nil
	for _, g := range n.groups.own() {
		g.asked, g.again, g.parted = false, false, false
		if g.id == 0 {
			g.cutShort()
			if g.leaving.Load() {
				n.isGone(g, g.why)
			}
			continue
		}
		v := GroupView{Group: g.name, Num: g.view.Num + 1}
		if left {
			v.Left = []Departed{{self, membership.Left}}
			for _, m := range g.view.Members {
				if m.ID != self.ID {
					v.Members = append(v.Members, m)
				}
			}
		} else {
			v.Expelled, v.Reason = true, why
			g.away.Store(true)
		}
		g.id = 0
		g.asks.fail(err)
		g.cutShort()
		if r := g.restore; r != nil {
			r.last = &v
		} else if g.view.Num > 0 {
			n.show(g, v)
		}
		if g.leaving.Load() {
			n.isGone(g, g.why)
		}
	}
	n.publish()
}
