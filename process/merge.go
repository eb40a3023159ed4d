package process

import (
	"cmp"
	"slices"

	"cohort/membership"
)

// Times of meeting other rings, ns.
const (
	mergeEvery = 50_000_000    // how often other rings are thought of
	mergeFor   = 2_000_000_000 // how long another ring may take to answer
	blockedFor = 2             // timeouts that a ring stands still before its members give it up
)

// merge is a member's part in giving way to another ring: a leader's whose ring
// is the lesser of two, and that of a member whose own ring cannot go on. It asks
// the other ring's leader first, as if to join: a beacon alone must not end a ring.
type merge struct {
	with    uint64 // the leader that is asked; 0: none
	ring    uint64 // and its ring
	since   int64
	due     int64
	blocked int64 // since when this ring cannot go on; 0: it can
}

// watch notes since when this ring cannot go on.
func (m *merge) watch(now int64, blocked bool) {
	switch {
	case !blocked:
		m.blocked = 0
	case m.blocked == 0:
		m.blocked = now
	}
}

// prevails tells whether ring a stays when it meets ring b: the one with more
// members, then the older.
func prevails(a, b membership.Beacon) bool {
	return cmp.Or(-cmp.Compare(a.Size, b.Size), cmp.Compare(a.Founded, b.Founded), cmp.Compare(a.Ring, b.Ring), cmp.Compare(a.Key, b.Key)) < 0
}

// approach asks the leader of a ring that this one gives way to.
func (p *Process) approach(now int64) {
	m := &p.merge
	m.due = membership.Never
	if m.with != 0 {
		if m.due = m.since + mergeFor; now >= m.due {
			p.part(now, m.with)
			m.failed(p, now, m.with)
		}
		return
	}
	if p.forgetRings(now); len(p.rings) == 0 {
		return
	}
	m.due = now + mergeEvery
	best := p.bestRing(func(r *sighting) bool { return r.rest <= now && p.givesWay(now, r.Beacon) })
	if best == nil {
		return
	}
	m.with, m.ring, m.since, m.due = best.From.ID, best.Ring, now, now+mergeFor
	if p.links.has(m.with) {
		m.connected(p, m.with)
	} else {
		p.links.dial(best.From)
	}
}

// givesWay tells whether this member is to end its membership, or its ring, for
// the sake of another ring. Other views of one ring are no other ring: who missed
// one learns of it by letters, or finds itself blocked.
func (p *Process) givesWay(now int64, b membership.Beacon) bool {
	m, v := &p.merge, p.site.View()
	switch {
	case p.leaving || p.site.Ending() && !p.site.Blocked():
		return false
	case p.site.Blocked(): // for long enough that it will not pass by itself
		return now-m.blocked > blockedFor*p.cfg.Site.Rules.Timeout && (b.Ring != v.Ring || b.Num > v.Num)
	case b.Ring == v.Ring && !p.cfg.Site.Rules.Lone:
		return false
	}
	ours := membership.Beacon{Ring: v.Ring, Founded: v.Founded, Num: v.Num, Key: p.site.Key(), Size: len(v.Members)}
	return p.site.Leading() && v.Rank(b.From.ID) < 0 && prevails(b, ours)
}

func (m *merge) connected(p *Process, id uint64) {
	if id == m.with {
		p.post(id, membership.Letter{Kind: membership.Join, Member: p.self, Lone: p.cfg.Site.Rules.Lone})
	}
}

// invited ends the ring, or this membership: the other ring is there, and lets us in. The
// reason to ask may be gone by then: this ring can go on again, or another leads it.
func (m *merge) invited(p *Process, now int64, from uint64, full membership.View) {
	if from != m.with || !p.In() || full.Ring != m.ring || full.Rank(from) < 0 || full.Rank(p.self.ID) < 0 {
		return
	}
	if !slices.ContainsFunc(p.rings, func(r sighting) bool { return r.From.ID == from && p.givesWay(now, r.Beacon) }) {
		m.failed(p, now, from)
		return
	}
	m.with, m.due = 0, now+mergeFor
	if p.site.Blocked() {
		p.site.GiveUp()
	} else {
		p.site.Dissolve(now)
	}
}

// failed notes that nothing came of it: another ring may be asked meanwhile.
func (m *merge) failed(p *Process, now int64, id uint64) {
	if id == m.with {
		m.with, m.due = 0, now+mergeEvery
		p.rest(id, now+mergeFor)
	}
}
