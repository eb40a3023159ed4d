package site

import "cohort/membership"

// vigil watches the members of a view for signs of life.
type vigil struct {
	began int64 // the view's
	last  int64 // when this process last did something
	grace int64 // nobody is suspected for silence before
	over  int64 // since when it is known what the view is followed by, and this member lacks some of it; 0: it is not
	stuck bool  // and that for so long that who has the rest may be gone for good
	told  int64 // when suspicions were last repeated
	from  []peer
}

// peer is what the vigil knows of one member.
type peer struct {
	grace   int64  // it is not suspected for silence before
	pausing int64  // since when it has asked senders to pause; 0: it does not
	acked   uint64 // what it had acknowledged
	since   int64  // since when it has acknowledged nothing though something was sent
}

func newVigil(now int64, n int) vigil {
	return vigil{began: now, last: now, grace: now, told: now, from: make([]peer, n)}
}

// deafFor is how many timeouts a member may leave packets unacknowledged that
// arrive elsewhere.
const deafFor = 8

// awake notes whether this process itself stood still until now: then what it has not
// heard, and who has not answered it, proves nothing. It comes before everything that may
// have somebody suspected: of the letters that came meanwhile, the first is no sign that
// the others did not.
func (s *Site) awake(now int64) {
	if now-s.vigil.last > s.cfg.Rules.Timeout/2 {
		s.vigil.grace = now
		s.agreement.StoodStill(now)
	}
	s.vigil.last = now
}

// watch suspects who is silent, slow or deaf.
func (s *Site) watch(now int64) {
	v, timeout := &s.vigil, s.cfg.Rules.Timeout
	s.awake(now)
	s.catchUp(now)
	s.letGo()
	for r := range s.view.Members {
		if r == s.rank || s.agreement.Suspected(r) != 0 {
			continue
		}
		if why := s.suspicion(now, r); why != 0 {
			s.agreement.Suspect(now, r, why)
		}
	}
	if now-v.told > timeout { // who suspects whom must reach all in the end
		v.told = now
		if s.leaving {
			s.askToLeave()
		}
		if s.machine.Frozen() {
			s.agreement.Tell()
			s.agreement.Forgive(now, s.reachable())
		}
	}
}

// reachable returns to whom there is a connection, bit per rank.
func (s *Site) reachable() (ranks uint64) {
	for r, m := range s.view.Members {
		if s.linked[m.ID] {
			ranks |= 1 << r
		}
	}
	return ranks
}

// fetchFor is how many timeouts one may take to fetch the rest of a view whose
// holders may be gone for good.
const fetchFor = 8

// catchUp gives up a view of which this member cannot get the rest. The others do
// not keep it for those who are not in the next. Who is in that cannot go on, but
// waits, since some of a quorum that held it may come back; but where one is enough,
// that one may have left.
func (s *Site) catchUp(now int64) {
	v := &s.vigil
	if v.stuck = false; !s.agreement.Over() || s.machine.Fetched() {
		return
	}
	if v.over == 0 {
		v.over = now
	}
	if now-max(v.over, v.grace) <= fetchFor*s.cfg.Rules.Timeout {
		return
	}
	if _, why := s.agreement.Gone(); why != 0 || s.cfg.Rules.Lone {
		s.lost = true
	} else {
		v.stuck = true
	}
}

// letGo forgets the previous view once all who came from it have been heard in this
// one: then nobody needs a repair of it any more.
func (s *Site) letGo() {
	if s.previous == nil {
		return
	}
	for r, m := range s.view.Members {
		if r != s.rank && m.Joined != s.view.Num && s.machine.Heard(r) <= s.vigil.began {
			return
		}
	}
	s.dropPrevious()
}

func (s *Site) suspicion(now int64, r int) membership.Reason {
	p, timeout := &s.vigil.from[r], s.cfg.Rules.Timeout
	if now-s.heard(r) > timeout {
		return membership.Silent
	}
	if s.machine.Frozen() {
		return 0
	}
	switch {
	case !s.machine.Pausing(r):
		p.pausing = 0
	case p.pausing == 0:
		p.pausing = now
	case s.cfg.Slow > 0 && now-max(p.pausing, s.vigil.grace) > s.cfg.Slow:
		return membership.Slow
	}
	if has, sent := s.machine.Acknowledged(r); has > p.acked || has == sent || p.since == 0 {
		p.acked, p.since = has, now
	}
	if now-max(p.since, s.vigil.grace) > deafFor*timeout {
		return membership.Deaf
	}
	return 0
}

// heard returns from when on silence of the member with this rank counts.
func (s *Site) heard(r int) int64 {
	return max(s.machine.Heard(r), s.vigil.grace, s.vigil.from[r].grace)
}

// vigilDue returns when somebody may have been silent for too long.
func (s *Site) vigilDue() int64 {
	timeout := s.cfg.Rules.Timeout
	due := s.vigil.last + timeout/2 // so that standing still is noticed
	for r := range s.view.Members {
		if r != s.rank && s.agreement.Suspected(r) == 0 {
			due = min(due, s.heard(r)+timeout+1)
		}
	}
	return due
}
