package process

import (
	"net/netip"
	"slices"

	"cohort/membership"
)

// Link is a wish for a connection, or for its end.
type Link struct {
	Dial bool // else hang up
	Peer uint64
	Addr netip.AddrPort // to dial
}

// Times of connections, ns.
const (
	redialEvery = 100_000_000   // how often one who should be connected is dialled
	strangerFor = 5_000_000_000 // how long one who is nobody here may stay connected
	maxLinks    = 4 * membership.MaxMembers
)

// links is who is connected, and what is wished for.
type links struct {
	up     []link // by ID
	wishes []Link
	due    int64
}

type link struct {
	id    uint64
	since int64
	end   int64 // when it is to be hung up; 0: not known
}

func (l *links) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(l.up, id, func(k link, id uint64) int {
		switch {
		case k.id < id:
			return -1
		case k.id > id:
			return 1
		}
		return 0
	})
}

func (l *links) has(id uint64) bool {
	_, ok := l.find(id)
	return ok
}

func (l *links) dial(m membership.Member) {
	l.wishes = append(l.wishes, Link{Dial: true, Peer: m.ID, Addr: m.Control})
}

// hangup ends a connection, or the attempt to make one.
func (l *links) hangup(id uint64) {
	if i, ok := l.find(id); ok {
		l.up = slices.Delete(l.up, i, i+1)
	}
	l.wishes = append(l.wishes, Link{Peer: id})
}

// parting tells whether the peer is about to be hung up: what the driver has
// polled already is not wanted any more.
func (l *links) parting(id uint64) bool {
	return slices.ContainsFunc(l.wishes, func(w Link) bool { return w.Peer == id && !w.Dial })
}

// Links returns the wishes for connections, in order, and forgets them. To dial
// one who is connected or being dialled does nothing. Once a wish for a hangup has
// been carried out there is to be no news of the peer from before it.
func (p *Process) Links() []Link {
	w := p.links.wishes
	p.links.wishes = nil
	return w
}

// Connected tells that there is a connection with the process with this ID.
func (p *Process) Connected(now int64, id uint64) {
	l := &p.links
	if l.parting(id) {
		return
	}
	if i, ok := l.find(id); ok {
		l.up[i].since = now
	} else {
		if len(l.up) >= maxLinks && !p.makeRoom(now) {
			l.hangup(id)
			return
		}
		i, _ = l.find(id)
		l.up = slices.Insert(l.up, i, link{id: id, since: now})
	}
	if p.site == nil {
		p.connectedOutside(now, id)
		return
	}
	l.due = min(l.due, now+redialEvery)
	p.site.Connected(now, id)
	p.merge.connected(p, id)
}

// Disconnected tells that there is no connection any more, or that none came about.
func (p *Process) Disconnected(now int64, id uint64) {
	if p.links.parting(id) {
		return
	}
	i, was := p.links.find(id)
	if was {
		p.links.up = slices.Delete(p.links.up, i, i+1)
	}
	switch {
	case p.site == nil:
		p.disconnectedOutside(now, id, was)
	case was:
		p.site.Disconnected(now, id)
		fallthrough
	default:
		p.dropCandidate(id)
		p.merge.failed(p, now, id)
	}
	p.links.due = min(p.links.due, now+redialEvery)
}

// greet tells the site of a view that begins who is connected already, and has
// the others dialled.
func (p *Process) greet(now int64) {
	for _, m := range p.site.View().Members {
		if p.links.has(m.ID) {
			p.site.Connected(now, m.ID)
		}
	}
	p.links.due = now
}

// tend keeps the connections that a member needs, and ends those that nobody does.
// One to a suspected member is made anew: what it has queued across a cut link
// would come long after the link has healed.
func (p *Process) tend(now int64) {
	l, v := &p.links, p.site.View()
	p.dropLate(now)
	l.due = membership.Never // as long as all are connected and nobody else is
	if p.site.Ending() || len(l.up) != len(v.Members)-1 {
		l.due = now + redialEvery
	}
	for r, m := range v.Members {
		switch up := l.has(m.ID); {
		case m.ID == p.self.ID:
		case !up:
			l.dial(m)
			l.due = now + redialEvery
		case p.site.Suspected(r) != 0 && now-l.up[l.index(m.ID)].since > p.cfg.Site.Rules.Timeout && now-p.site.Heard(r) > p.cfg.Site.Rules.Timeout:
			p.part(now, m.ID)
			l.dial(m)
		}
	}
	for i := len(l.up) - 1; i >= 0; i-- {
		k := &l.up[i]
		switch {
		case p.wanted(k.id):
			k.end = 0
		case k.end == 0:
			k.end = now + p.lingering(k.id)
		case now >= k.end:
			p.part(now, k.id)
		}
	}
}

// tendOutside ends the connections that nobody has needed for long.
func (p *Process) tendOutside(now int64) {
	l := &p.links
	l.due = now + redialEvery
	for i := len(l.up) - 1; i >= 0; i-- {
		if k := &l.up[i]; now-k.since > strangerFor && !p.wanted(k.id) {
			l.hangup(k.id)
		}
	}
}

// makeRoom ends the connection of which nothing has come for longest, if there is one.
func (p *Process) makeRoom(now int64) bool {
	var oldest *link
	for i := range p.links.up {
		if k := &p.links.up[i]; !p.wanted(k.id) && (oldest == nil || k.since < oldest.since) {
			oldest = k
		}
	}
	if oldest != nil {
		p.part(now, oldest.id)
	}
	return oldest != nil
}

// part ends a connection of which the site, if there is one, knows.
func (p *Process) part(now int64, id uint64) {
	p.links.hangup(id)
	if p.site != nil {
		p.site.Disconnected(now, id)
	}
}

func (l *links) index(id uint64) int {
	i, _ := l.find(id)
	return i
}

// lingering returns how long one who is not a member stays connected: who was one
// until now, until it must have had the last letters.
func (p *Process) lingering(id uint64) int64 {
	if p.site.Before().Rank(id) >= 0 {
		return p.cfg.Site.Rules.Timeout
	}
	return strangerFor
}

// wanted tells whether somebody is to stay connected.
func (p *Process) wanted(id uint64) bool {
	if s := &p.seek; p.site == nil {
		return s.asking != nil && s.asking.ID == id || s.bid != nil && s.bid.full.Rank(id) >= 0 || s.found != nil && s.found.view.Rank(id) >= 0
	}
	return p.site.View().Rank(id) >= 0 || p.merge.with == id || slices.ContainsFunc(p.door.candidates, func(c candidate) bool { return c.ID == id })
}
