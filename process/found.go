package process

import (
	"fmt"
	"slices"

	"cohort/membership"
	"cohort/wire"
)

// founding is the forming of a first view by this process: an atomic commitment
// over connections. Who has said that it is ready waits until the founder
// installs the view, refuses, or dies; one who installs it tells all others.
type founding struct {
	view  membership.View
	ready []bool
	until int64
	dial  int64
}

// fitting leaves out those with whom there would be too many, or whose packets are
// too small for so many; last who has not proved to be there.
func (p *Process) fitting(list []membership.Member) []membership.Member {
	slices.SortStableFunc(list, func(a, b membership.Member) int {
		switch linked := p.links.has(a.ID); {
		case linked == p.links.has(b.ID):
			return 0
		case linked:
			return -1
		}
		return 1
	})
	n := min(len(list)+1, membership.MaxMembers)
	for n > 1 && wire.MinSegment(n) > int(p.self.Segment) {
		n--
	}
	list = slices.DeleteFunc(list, func(m membership.Member) bool { return int(m.Segment) < wire.MinSegment(n) })
	return list[:min(len(list), n-1)]
}

// form begins an attempt to form the first view with these members.
func (p *Process) form(now int64, members []membership.Member) {
	v := membership.View{Num: 1, Founded: p.self.Since, Members: members}
	for i := range v.Members {
		v.Members[i].Joined = 1
	}
	slices.SortFunc(v.Members, membership.Older)
	v.Ring = v.Key()
	f := &founding{view: v, ready: make([]bool, len(v.Members)), until: now + attemptFor, dial: now}
	f.ready[v.Rank(p.self.ID)] = true
	p.seek.found = f
	p.convene(now)
}

// candidates lists the processes that a first view may be formed with. Who has been
// heard only once may be gone, or have been made up.
func (p *Process) candidates() (list []membership.Member) {
	s := &p.seek
	for _, o := range s.heard {
		if o.again && !slices.ContainsFunc(s.shun, func(k shunned) bool { return k.id == o.From.ID }) {
			m := o.From
			m.Joined = 0
			list = append(list, m)
		}
	}
	return list
}

// majority returns how many processes may form a first view.
func (p *Process) majority() int { return p.cfg.Expect/2 + 1 }

// mayFound tells whether enough processes, k, have been heard for long enough.
func (p *Process) mayFound(now int64, k int) bool {
	s := &p.seek
	if p.cfg.Expect <= 1 {
		return now-s.since >= p.cfg.Discovery
	}
	if k < p.majority() {
		s.enough = 0
		return false
	}
	if s.enough == 0 {
		s.enough = now
	}
	return k >= p.cfg.Expect || now-s.enough >= graceFor
}

// convene invites those who are connected, has the others dialled, and installs
// the view once all are ready. Who is bound to another invitation does not answer
// one, and so is asked again. After its time an attempt installs nothing, though all have
// been ready: if this process stood still, they may have given their word to others since.
func (p *Process) convene(now int64) {
	f := p.seek.found
	if now > f.until {
		return
	}
	if now >= f.dial {
		f.dial = now + redialEvery
		for r, m := range f.view.Members {
			switch {
			case f.ready[r]:
			case p.links.has(m.ID):
				p.post(m.ID, membership.Letter{Kind: membership.Invite, Full: f.view})
			default:
				p.links.dial(m)
			}
		}
	}
	if slices.Contains(f.ready, false) {
		return
	}
	p.enter(now, p.self.ID, membership.Letter{Kind: membership.Install, Proposal: membership.Proposal{Next: f.view}})
	if p.site == nil { // the same again would come to the same
		p.disband()
		p.seek.since, p.seek.enough = now, 0
	}
}

// regroup ends an attempt that has taken too long. Those who did not take part are
// left out, and the others go on if they are enough. Of those who have not even
// connected nobody knows whom else they have kept from being ready.
func (p *Process) regroup(now int64) {
	f := p.seek.found
	if !slices.Contains(f.ready, false) { // too late: see convene. More such words may be on their way
		p.disband()
		for _, m := range f.view.Members {
			if m.ID != p.self.ID {
				p.links.hangup(m.ID)
			}
		}
		return
	}
	takesPart := func(r int) bool { return f.ready[r] || p.links.has(f.view.Members[r].ID) }
	all := true
	for r := range f.view.Members {
		all = all && takesPart(r)
	}
	var rest []membership.Member
	for r, m := range f.view.Members {
		if f.ready[r] || !all && takesPart(r) {
			rest = append(rest, m)
		} else {
			p.leaveOut(now, m)
		}
	}
	if len(rest) >= p.majority() {
		p.form(now, rest)
		return
	}
	p.disband()
}

// leaveOut shuns one who was heard, and did not take part.
func (p *Process) leaveOut(now int64, m membership.Member) {
	what := "connect"
	if p.links.has(m.ID) {
		what = "connect to all others"
	}
	p.seek.problem = fmt.Errorf("process: %s at %v was heard, but did not %s", m.Name, m.Control, what)
	p.seek.avoid(shunned{id: m.ID, until: now + shunFor})
	p.links.hangup(m.ID)
}

// disband gives up an attempt: who has been invited is free again.
func (p *Process) disband() {
	for _, m := range p.seek.found.view.Members {
		if p.links.has(m.ID) {
			p.post(m.ID, membership.Letter{Kind: membership.Refuse, Text: "not all were ready to form the first view"})
		}
	}
	p.seek.found = nil
}
