package process

import (
	"fmt"
	"slices"

	"cohort/membership"
	"cohort/wire"
)

// Times of looking for a ring, ns.
const (
	soonFor     = 1_000_000_000 // a process that looks for others says so often for this long
	soonEvery   = 20_000_000
	laterEvery  = 100_000_000
	forgetAfter = 1_000_000_000 // a process not heard of for this long is gone
	ringFor     = 2_500_000_000 // and so is a ring
	listenFor   = 60_000_000    // no ring is formed before: there may be one, which answers
	graceFor    = 500_000_000   // a majority waits this long for the rest
	attemptFor  = 1_000_000_000 // how long the forming of a view may take
	askFor      = 3_000_000_000 // and the joining of a ring
	shunFor     = 3_000_000_000 // one who did not take part is left out for this long
)

// maxHeard bounds the processes that are kept in mind.
const maxHeard = 4 * membership.MaxMembers

// sighting is a beacon and when it came.
type sighting struct {
	membership.Beacon
	at int64
}

// seek is the state of a process outside of any ring.
type seek struct {
	since  int64
	due    int64 // of the next beacon
	heard  []sighting
	shun   []shunned
	enough int64 // since when a majority has been heard; 0: it has not

	asking  *membership.Member // the leader who is asked to let this process in
	askedAt int64
	bid     *bid
	found   *founding
	problem error
}

type shunned struct {
	id    uint64
	until int64
}

// bid is an invitation into a view, being followed.
type bid struct {
	from  uint64
	full  membership.View
	at    int64
	ready bool // and said so
	dial  int64
}

// founding is the forming of a first view by this process: an atomic commitment
// over connections. Who has said that it is ready waits until the founder
// installs the view, refuses, or dies; one who installs it tells all others.
type founding struct {
	view  membership.View
	ready []bool
	until int64
	dial  int64
}

// hear notes another process that looks for a ring.
func (s *seek) hear(now int64, b membership.Beacon) {
	i := slices.IndexFunc(s.heard, func(o sighting) bool { return o.From.ID == b.From.ID })
	switch {
	case i >= 0:
		s.heard[i] = sighting{b, now}
	case len(s.heard) < maxHeard:
		s.heard = append(s.heard, sighting{b, now})
	}
}

// sight notes a ring that this process is not in.
func (p *Process) sight(now int64, b membership.Beacon) {
	if p.In() && p.site.View().Rank(b.From.ID) >= 0 && b.Key == p.site.Key() {
		return
	}
	p.rings = slices.DeleteFunc(p.rings, func(o sighting) bool {
		return o.From.ID == b.From.ID || now-o.at > ringFor
	})
	if b.Size == 0 && p.site == nil {
		p.seek.problem = fmt.Errorf("process: %s at %v is in a ring of which too few members are left to let anybody in", b.From.Name, b.From.Control)
	}
	if b.Size > 0 && len(p.rings) < maxHeard {
		p.rings = append(p.rings, sighting{b, now})
	}
	if p.site == nil {
		p.seek.due = min(p.seek.due, now+1)
	} else {
		p.merge.due = min(p.merge.due, now+mergeEvery)
	}
}

// forgetRing drops a ring whose leader does not let this process in.
func (p *Process) forgetRing(leader uint64) {
	p.rings = slices.DeleteFunc(p.rings, func(o sighting) bool { return o.From.ID == leader })
}

// stepOutside looks for a ring, or forms one.
func (p *Process) stepOutside(now int64) {
	s := &p.seek
	p.overdue(now)
	switch {
	case s.found != nil:
		p.convene(now)
	case s.bid != nil:
		p.follow(now)
	case s.asking == nil:
		p.choose(now)
	}
	if p.site == nil && s.due <= now {
		s.due = now + laterEvery
		if now-s.since < soonFor {
			s.due = now + soonEvery
		}
		p.beacons = append(p.beacons, membership.Beacon{Kind: wire.Here, From: p.self, Expect: p.cfg.Expect})
	}
}

func (p *Process) outsideDue() int64 {
	s := &p.seek
	due := s.due
	if s.asking != nil {
		due = min(due, s.askedAt+askFor+1)
	}
	if s.bid != nil && !s.bid.ready {
		due = min(due, s.bid.dial)
	}
	if s.found != nil {
		due = min(due, s.found.dial, s.found.until+1)
	}
	return due
}

// overdue gives up what has taken too long.
func (p *Process) overdue(now int64) {
	s := &p.seek
	s.heard = slices.DeleteFunc(s.heard, func(o sighting) bool { return now-o.at > forgetAfter })
	s.shun = slices.DeleteFunc(s.shun, func(o shunned) bool { return now >= o.until })
	p.rings = slices.DeleteFunc(p.rings, func(o sighting) bool { return now-o.at > ringFor })
	if s.asking != nil && now-s.askedAt > askFor {
		p.stopAsking(now, fmt.Errorf("process: %s at %v did not let this process in for %d ms", s.asking.Name, s.asking.Control, askFor/1_000_000))
	}
	if s.bid != nil && s.asking == nil && now-s.bid.at > askFor {
		s.bid = nil
	}
	if s.found != nil && now > s.found.until {
		p.disband(now)
	}
}

// choose asks the best ring to let this process in or, if there is none, forms
// one when it is the one to do so.
func (p *Process) choose(now int64) {
	s := &p.seek
	if best := p.bestRing(); best != nil {
		leader := best.From
		s.asking, s.askedAt = &leader, now
		if p.links.has(leader.ID) {
			p.ask()
		} else {
			p.links.dial(leader)
		}
		return
	}
	if now-s.since < listenFor || !p.mayFound(now) {
		return
	}
	v := membership.View{Num: 1, Members: []membership.Member{p.self}}
	for _, o := range p.candidates() {
		v.Members = append(v.Members, o.From)
	}
	slices.SortFunc(v.Members, membership.Older)
	if v.Members[0].ID != p.self.ID {
		return
	}
	v.Members = v.Members[:min(len(v.Members), membership.MaxMembers)]
	for i := range v.Members {
		v.Members[i].Joined = 1
	}
	v.Founded = p.self.Since
	v.Ring = v.Key()
	s.found = &founding{view: v, ready: make([]bool, len(v.Members)), until: now + attemptFor, dial: now}
	for _, m := range v.Members { // from an attempt before this one, by whomever
		if p.links.has(m.ID) {
			p.post(m.ID, membership.Letter{Kind: membership.Invite, Full: v})
		}
	}
	p.convene(now)
}

// candidates lists the processes that a first view may be formed with.
func (p *Process) candidates() (list []sighting) {
	s := &p.seek
	for _, o := range s.heard {
		if !slices.ContainsFunc(s.shun, func(k shunned) bool { return k.id == o.From.ID }) && p.agrees(o.Beacon) {
			list = append(list, o)
		}
	}
	return list
}

// agrees tells whether another process wants what this one wants.
func (p *Process) agrees(b membership.Beacon) bool {
	if max(b.Expect, 1) != max(p.cfg.Expect, 1) {
		p.seek.problem = fmt.Errorf("process: %s at %v expects %d members, this process %d", b.From.Name, b.From.Addr, b.Expect, p.cfg.Expect)
		return false
	}
	return true
}

// mayFound tells whether enough processes have been heard for long enough.
func (p *Process) mayFound(now int64) bool {
	s := &p.seek
	k := len(p.candidates()) + 1
	if p.cfg.Expect <= 1 {
		return now-s.since >= p.cfg.Discovery
	}
	if k < p.cfg.Expect/2+1 {
		s.enough = 0
		return false
	}
	if s.enough == 0 {
		s.enough = now
	}
	return k >= p.cfg.Expect || now-s.enough >= graceFor
}

// convene has those dialled who are not connected, and installs the view once all
// are ready.
func (p *Process) convene(now int64) {
	f := p.seek.found
	if now >= f.dial {
		f.dial = now + redialEvery
		for r, m := range f.view.Members {
			if m.ID != p.self.ID && !f.ready[r] && !p.links.has(m.ID) {
				p.links.dial(m)
			}
		}
	}
	f.ready[f.view.Rank(p.self.ID)] = true
	if slices.Contains(f.ready, false) {
		return
	}
	p.enter(now, p.self.ID, membership.Letter{Kind: membership.Install, Proposal: membership.Proposal{Next: f.view}})
}

// disband gives up an attempt: those who did not take part are left out of the next.
func (p *Process) disband(now int64) {
	s := &p.seek
	for r, m := range s.found.view.Members {
		switch {
		case m.ID == p.self.ID:
		case s.found.ready[r]:
			p.post(m.ID, membership.Letter{Kind: membership.Refuse, Text: "not all were ready to form the first view"})
		default:
			s.problem = fmt.Errorf("process: %s at %v was heard, but did not connect", m.Name, m.Control)
			s.shun = append(s.shun, shunned{m.ID, now + shunFor})
			p.links.hangup(m.ID)
		}
	}
	s.found = nil
}

// connectedOutside goes on with what the connection was for.
func (p *Process) connectedOutside(now int64, id uint64) {
	s := &p.seek
	switch {
	case s.found != nil && s.found.view.Rank(id) >= 0:
		p.post(id, membership.Letter{Kind: membership.Invite, Full: s.found.view})
	case s.asking != nil && s.asking.ID == id && s.bid == nil:
		p.ask()
	}
	if s.bid != nil {
		p.follow(now)
	}
}

func (p *Process) disconnectedOutside(now int64, id uint64) {
	s := &p.seek
	if s.asking != nil && s.asking.ID == id {
		p.stopAsking(now, fmt.Errorf("process: no connection to %s at %v", s.asking.Name, s.asking.Control))
	}
	if b := s.bid; b != nil && b.from == id {
		if b.ready && b.full.Num == 1 { // its word is given: who has installed the view tells
			b.at = min(b.at, now-askFor+attemptFor)
		} else {
			s.bid = nil
		}
	}
	if s.found != nil {
		if r := s.found.view.Rank(id); r >= 0 {
			s.found.ready[r] = false
		}
	}
	s.due = min(s.due, now+soonEvery)
}

// ask asks the leader of a ring to let this process in.
func (p *Process) ask() {
	p.post(p.seek.asking.ID, membership.Letter{Kind: membership.Join, Member: p.self, Lone: p.cfg.Site.Rules.Lone})
}

func (p *Process) stopAsking(now int64, why error) {
	s := &p.seek
	s.problem = why
	p.forgetRing(s.asking.ID)
	p.links.hangup(s.asking.ID)
	s.asking, s.bid = nil, nil
	s.due = min(s.due, now+soonEvery)
}

// invited follows an invitation: into a ring that this process has asked, or
// into a first view, unless it has given its word to somebody else.
func (p *Process) invited(now int64, from uint64, l membership.Letter) {
	s := &p.seek
	if p.site != nil {
		p.merge.invited(p, now, from)
		return
	}
	asked := s.asking != nil && s.asking.ID == from
	switch {
	case l.Full.Rank(p.self.ID) < 0 || l.Full.Rank(from) < 0:
	case asked || s.bid != nil && s.bid.from == from:
		s.bid = &bid{from: from, full: l.Full, at: now}
	case s.bid == nil && s.asking == nil && l.Full.Num == 1 && l.Full.Members[0].ID == from:
		if s.found != nil { // the founder is older: this process cannot have heard it
			p.disband(now)
		}
		s.bid = &bid{from: from, full: l.Full, at: now}
	}
	if s.bid != nil {
		p.follow(now)
	}
}

// follow connects to all members of the view, and then says so.
func (p *Process) follow(now int64) {
	b := p.seek.bid
	if b.ready {
		return
	}
	missing := false
	for _, m := range b.full.Members {
		if m.ID == p.self.ID || p.links.has(m.ID) {
			continue
		}
		missing = true
		if now >= b.dial {
			p.links.dial(m)
		}
	}
	if now >= b.dial {
		b.dial = now + redialEvery
	}
	if !missing {
		b.ready = true
		p.post(b.from, membership.Letter{Kind: membership.Ready, View: b.full.Key(), Num: b.full.Num})
	}
}

// refused takes a no.
func (p *Process) refused(now int64, from uint64, l membership.Letter) {
	s := &p.seek
	switch {
	case p.site != nil:
		p.merge.failed(now, from)
	case s.asking != nil && s.asking.ID == from:
		p.stopAsking(now, fmt.Errorf("process: %s at %v refused this process: %s", s.asking.Name, s.asking.Control, l.Text))
	case s.bid != nil && s.bid.from == from:
		s.bid = nil
	}
}

// bestRing returns the ring to join: that which others would dissolve into.
func (p *Process) bestRing() *sighting {
	var best *sighting
	for i := range p.rings {
		if r := &p.rings[i]; r.Size > 0 && (best == nil || prevails(r.Beacon, best.Beacon)) {
			best = r
		}
	}
	return best
}

// Problem returns what keeps this process from being in a view, as far as that is
// known; nil if nothing but waiting.
func (p *Process) Problem() error {
	s := &p.seek
	if p.site != nil {
		return nil
	}
	if k := len(s.heard) + 1; s.problem == nil && k < p.cfg.Expect/2+1 {
		names := p.self.Name
		for _, o := range s.heard {
			names += ", " + o.From.Name
		}
		return fmt.Errorf("process: %d of %d expected members have been heard: %s", k, p.cfg.Expect, names)
	}
	return s.problem
}
