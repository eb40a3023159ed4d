package engine

import (
	"math/bits"
	"net/netip"
	"strings"
	"sync/atomic"

	"cohort/batch"
	"cohort/engine/recorder"
	"cohort/iomulticast"
	"cohort/membership"
	"cohort/reach"
	"cohort/site"
)

// Transport says how packets that are for all members travel: see Config.Transport.
type Transport = reach.Transport

// Transports.
const (
	Auto      = reach.Auto      // by multicast, and by unicast to each member that says it does not hear it
	Multicast = reach.Multicast // by multicast alone
	Fanout    = reach.Fanout    // by unicast to each member
)

// carrier takes what is for all members to them: to the group, and to those that it
// does not reach one by one. The protocol does not know of it.
type carrier struct {
	how     Transport
	reach   *reach.Reach
	hearing *reach.Hearing
	view    uint64        // key of the view that they are in; 0: none
	to      uint64        // bit per rank that copies are for
	copies  []*batch.Addr // of those

	feature atomic.Pointer[iomulticast.Feature]
}

// silentFor is the part of the timeout after which multicast that does not come is taken
// not to arrive: two of a member's signs of life have been lost by then, and there is
// time for it to send copies before it is taken for dead.
const silentFor = 2

// unreachedFor times the timeout is how long a member must not have said that it hears this
// one until people are told that multicast does not reach it. One that stands still says it
// late, and so does this one learn it: but neither for longer than the timeout, else it is
// expelled.
const unreachedFor = 2

func (c *carrier) init(cfg Config) {
	c.how = cfg.Transport
	c.reset(int64(cfg.Timeout))
}

// reset begins anew: for a process without connections.
func (c *carrier) reset(timeout int64) {
	c.reach, c.hearing = reach.New(c.how, unreachedFor*timeout), reach.NewHearing(timeout/silentFor)
	c.view, c.to, c.copies = 0, 0, c.copies[:0]
	c.tell(nil)
}

// due returns when carry must be called at the latest, ns.
func (c *carrier) due() int64 { return min(c.reach.Due(), c.hearing.Due()) }

// carry brings the carrier up to date before something is sent: who the members are,
// whom they are to be told that they reach, and who gets copies.
func (n *Node) carry(now int64) {
	c := &n.carrier
	if !n.proc.In() {
		return
	}
	s := n.proc.Site()
	entered := s.Key() != c.view
	if entered {
		c.view = s.Key()
		c.reach.View(now, s.View(), s.Rank())
		c.hearing.View(s.View(), s.Rank())
	}
	for _, news := range c.hearing.News(now) {
		n.mail(site.Post{To: news.To, Letter: membership.Letter{Kind: membership.Hears, Heard: news.Hears}})
	}
	if to := c.reach.Copies(); entered || to != c.to {
		c.address(s.View(), to, &n.outbox)
	}
	if lost, found := c.reach.Notes(now); lost|found != 0 || entered {
		n.noteReach(s.View(), lost, found)
	}
}

// address makes the list of those who get copies.
func (c *carrier) address(v membership.View, ranks uint64, o *outbox) {
	c.to, c.copies = ranks, c.copies[:0]
	for m := ranks; m != 0; m &= m - 1 {
		if to := o.addr(&v.Members[bits.TrailingZeros64(m)]); to != nil {
			c.copies = append(c.copies, to)
		}
	}
}

// append adds a train for all to the trains to be sent. Its packets are not copied: all
// of the new trains lie in the same memory.
func (c *carrier) append(now int64, trains []batch.Train, t batch.Train) []batch.Train {
	if c.reach.Group(now) {
		trains = append(trains, t)
	}
	for _, to := range c.copies {
		t.To = to
		trains = append(trains, t)
	}
	return trains
}

// noteReach says whom multicast turns out not to reach, and whom it reaches again.
func (n *Node) noteReach(v membership.View, lost, found uint64) {
	c := &n.carrier
	for _, m := range of(v, lost) {
		n.note(recorder.Unreached, m.ID, 0, 0, "")
		n.cfg.Logger.Warn("multicast does not reach a member", "member", m.Name, "address", m.Addr, "transport", c.how, "copies", c.how == Auto)
	}
	for _, m := range of(v, found) {
		n.note(recorder.Reached, m.ID, 0, 0, "")
		n.cfg.Logger.Info("multicast reaches a member again", "member", m.Name, "address", m.Addr)
	}
	c.tell(of(v, c.reach.Lost()))
}

// tell makes known how it stands.
func (c *carrier) tell(lost []membership.Member) {
	f := iomulticast.Feature{On: c.how != Fanout && len(lost) == 0}
	switch {
	case c.how == Fanout:
		f.Why = "fan-out is configured"
	case len(lost) > 0:
		names := make([]string, len(lost))
		for i, m := range lost {
			names[i] = m.Name
		}
		f.Why = "it does not reach " + strings.Join(names, ", ")
	}
	c.feature.Store(&f)
}

// of lists the members with these ranks, a bit each.
func of(v membership.View, ranks uint64) (list []membership.Member) {
	for m := ranks; m != 0; m &= m - 1 {
		list = append(list, v.Members[bits.TrailingZeros64(m)])
	}
	return list
}

// addressable tells whether one member alone can have this address. Others have said
// what theirs is, and may lie.
func addressable(a netip.AddrPort) bool {
	ip := a.Addr().Unmap()
	return ip.Is4() && a.Port() != 0 && !ip.IsMulticast() && !ip.IsUnspecified() && ip != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
