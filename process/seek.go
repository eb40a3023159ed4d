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
	waitFor     = 1_500_000_000 // how long an older one may take to form the first view
	refusedFor  = 500_000_000   // a ring that is there, but does not let this process in, is asked again after this
)

// maxHeard bounds the processes that are kept in mind, and of the rings those
// whose invitations have been followed.
const (
	maxHeard = 4 * membership.MaxMembers
	maxWords = 8
	maxVain  = 2 // rings that may be asked in vain before it is thought of forming one
)

// sighting is a beacon and when it came.
type sighting struct {
	membership.Beacon
	at    int64
	again bool  // it was not the first
	rest  int64 // of a ring: it is not asked before
}

// seek is the state of a process outside of any ring.
type seek struct {
	since  int64
	due    int64 // of the next beacon
	heard  []sighting
	shun   []shunned
	enough int64 // since when a majority has been heard; 0: it has not
	wait   int64 // since when an older one is to form the first view; 0: none is
	vain   int   // how many rings have been asked in a row that did not even answer
	met    int64 // when a ring last proved to be there; 0: none has

	asking  *membership.Member // the leader who is asked to let this process in
	askedAt int64
	bid     *bid
	found   *founding
	words   []uint64 // rings that this process has said Ready to, the last ones
	problem error
}

type shunned struct {
	id    uint64
	until int64
	lied  bool // it has invited, and nothing came of it
}

// hear notes another process that looks for a ring, if it wants what this one wants.
func (p *Process) hear(now int64, b membership.Beacon) {
	if max(b.Expect, 1) != max(p.cfg.Expect, 1) {
		p.seek.problem = fmt.Errorf("process: %s at %v expects %d members, this process %d", b.From.Name, b.From.Addr, b.Expect, p.cfg.Expect)
		return
	}
	p.seek.heard = p.note(p.seek.heard, sighting{Beacon: b, at: now})
}

// note enters a sighting into a list, which is by time. If it is full, one makes room
// that has been heard once, or else that which has been silent for longest.
func (p *Process) note(list []sighting, o sighting) []sighting {
	i := slices.IndexFunc(list, func(k sighting) bool { return k.From.ID == o.From.ID })
	switch {
	case i >= 0:
		o.rest, o.again = list[i].rest, true
	case len(list) == maxHeard:
		i = max(slices.IndexFunc(list, func(k sighting) bool { return !k.again }), 0)
	}
	if i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	return append(list, o)
}

// sight notes a ring that this process is not in.
func (p *Process) sight(now int64, b membership.Beacon) {
	if p.In() && p.site.View().Rank(b.From.ID) >= 0 && b.Key == p.site.Key() {
		return
	}
	if b.Size == 0 && p.site == nil {
		p.seek.problem = fmt.Errorf("process: %s at %v is in a ring of which too few members are left to let anybody in", b.From.Name, b.From.Control)
	}
	if b.Size > 0 {
		p.rings = p.note(p.rings, sighting{Beacon: b, at: now})
	} else {
		p.rings = slices.DeleteFunc(p.rings, func(o sighting) bool { return o.From.ID == b.From.ID })
	}
	if p.site == nil {
		p.seek.due = min(p.seek.due, now+1)
	} else {
		p.merge.due = min(p.merge.due, now+mergeEvery)
	}
}

// rest leaves a ring alone whose leader did not let this process in, so that others
// have their turn.
func (p *Process) rest(leader uint64, until int64) {
	for i := range p.rings {
		if p.rings[i].From.ID == leader {
			p.rings[i].rest = until
		}
	}
}

// forgetRings drops the rings that have not been heard of for long.
func (p *Process) forgetRings(now int64) {
	p.rings = slices.DeleteFunc(p.rings, func(o sighting) bool { return now-o.at > ringFor })
}

// stepOutside looks for a ring, or forms one.
func (p *Process) stepOutside(now int64) {
	s := &p.seek
	if p.links.due <= now {
		p.tendOutside(now)
	}
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
	due := min(s.due, p.links.due)
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
	p.forgetRings(now)
	if s.asking != nil && now-s.askedAt > askFor {
		s.vain++
		p.stopAsking(now, now+shunFor, fmt.Errorf("process: %s at %v did not let this process in for %d ms", s.asking.Name, s.asking.Control, askFor/1_000_000))
	}
	if s.bid != nil && s.asking == nil && now-s.bid.since > askFor {
		s.avoid(shunned{s.bid.from, now + shunFor, true})
		s.bid = nil
	}
	if s.found != nil && now > s.found.until {
		p.regroup(now)
	}
}

// avoid shuns a process.
func (s *seek) avoid(k shunned) {
	if len(s.shun) == maxHeard {
		s.shun = s.shun[1:]
	}
	s.shun = append(s.shun, k)
}

// choose asks the best ring to let this process in or, if there is none, forms
// one when it is the one to do so.
func (p *Process) choose(now int64) {
	s := &p.seek
	if best := p.bestRing(func(r *sighting) bool { return r.rest <= now }); best != nil && s.vain < maxVain {
		leader := best.From
		s.asking, s.askedAt = &leader, now
		if p.links.has(leader.ID) {
			p.ask()
		} else {
			p.links.dial(leader)
		}
		return
	}
	s.vain = 0
	if now-s.since < listenFor || p.isMet(now) {
		return
	}
	list := p.candidates()
	if !p.mayFound(now, len(list)+1) {
		s.wait = 0
		return
	}
	older := slices.ContainsFunc(list, func(m membership.Member) bool { return membership.Older(m, p.self) < 0 })
	switch {
	case !older:
		s.wait = 0
	case s.wait == 0:
		s.wait = now
	}
	if older && now-s.wait <= waitFor {
		return
	}
	list = slices.DeleteFunc(list, func(m membership.Member) bool { return membership.Older(m, p.self) < 0 })
	if list = p.fitting(list); len(list)+1 >= p.majority() {
		p.form(now, append(list, p.self))
	}
}

// isMet tells whether there is a ring, though it does not let this process in, or
// has just lost its leader: another one is not formed beside it.
func (p *Process) isMet(now int64) bool {
	s := &p.seek
	return s.met != 0 && now-s.met <= max(ringFor, 2*p.cfg.Site.Rules.Timeout)
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

// disconnectedOutside gives up what the connection was for, if there was one.
func (p *Process) disconnectedOutside(now int64, id uint64, was bool) {
	s := &p.seek
	if s.asking != nil && s.asking.ID == id {
		until := now + shunFor
		s.vain++
		if was {
			s.vain, s.met, until = 0, now, now+refusedFor
		}
		p.stopAsking(now, until, fmt.Errorf("process: no connection to %s at %v", s.asking.Name, s.asking.Control))
	}
	if was { // it is gone, unless it is heard again
		s.heard = slices.DeleteFunc(s.heard, func(o sighting) bool { return o.From.ID == id })
	}
	if b := s.bid; b != nil && b.from == id {
		if b.ready && b.full.Num == 1 { // its word is given: who has installed the view tells
			b.since = min(b.since, now-askFor+attemptFor)
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

// bestRing returns the ring to join of those that may be: that which others would
// dissolve into, and first one that has been heard twice; nil if there is none.
func (p *Process) bestRing(may func(*sighting) bool) *sighting {
	var best *sighting
	for i := range p.rings {
		if r := &p.rings[i]; may(r) && (best == nil || r.again && !best.again || r.again == best.again && prevails(r.Beacon, best.Beacon)) {
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
