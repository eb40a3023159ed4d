package process

import (
	"fmt"
	"slices"

	"cohort/membership"
)

// bid is an invitation into a view, being followed.
type bid struct {
	from  uint64
	full  membership.View
	since int64 // of the first one by the same process
	ready bool  // and said so
	dial  int64
}

// ask asks the leader of a ring to let this process in.
func (p *Process) ask() {
	p.post(p.seek.asking.ID, membership.Letter{Kind: membership.Join, Member: p.self, Lone: p.cfg.Site.Rules.Lone})
}

// stopAsking has the ring left alone until then.
func (p *Process) stopAsking(now, until int64, why error) {
	s := &p.seek
	s.problem = why
	p.rest(s.asking.ID, until)
	p.links.hangup(s.asking.ID)
	s.asking, s.bid = nil, nil
	s.due = min(s.due, now+soonEvery)
}

// invited follows an invitation: into a ring that this process has asked, or
// into a first view, unless it has given its word to somebody else.
func (p *Process) invited(now int64, from uint64, l membership.Letter) {
	s := &p.seek
	if p.site != nil {
		p.merge.invited(p, now, from, l.Full)
		return
	}
	asked := s.asking != nil && s.asking.ID == from
	switch {
	case l.Full.Rank(p.self.ID) < 0 || l.Full.Rank(from) < 0:
	case s.bid != nil && s.bid.from == from:
		if asked || now-s.bid.since <= askFor-attemptFor { // else its word would not last for the attempt
			s.bid = &bid{from: from, full: l.Full, since: s.bid.since}
		}
	case asked:
		s.bid, s.met = &bid{from: from, full: l.Full, since: now}, now
	case s.bid == nil && !p.answered() && l.Full.Num == 1 && l.Full.Members[0].ID == from && !s.lied(from):
		s.asking = nil
		if s.found != nil { // the founder is older: this process cannot have heard it
			p.disband()
		}
		s.bid, s.wait = &bid{from: from, full: l.Full, since: now}, 0
	}
	if s.bid != nil {
		p.follow(now)
	}
}

// answered tells whether there is a connection to a ring that is asked.
func (p *Process) answered() bool { return p.seek.asking != nil && p.links.has(p.seek.asking.ID) }

// lied tells whether nothing came of what this process has invited to.
func (s *seek) lied(id uint64) bool {
	return slices.ContainsFunc(s.shun, func(k shunned) bool { return k.id == id && k.lied })
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
		p.giveWord(b.full.Ring)
		p.post(b.from, membership.Letter{Kind: membership.Ready, View: b.full.Key(), Num: b.full.Num})
	}
}

// giveWord notes that this process may be put into a view of this ring.
func (p *Process) giveWord(ring uint64) {
	s := &p.seek
	if slices.Contains(s.words, ring) {
		return
	}
	if s.words = append(s.words, ring); len(s.words) > maxWords {
		s.words = s.words[1:]
	}
}

// installed takes the decision on a view that this process has agreed to be in.
func (p *Process) installed(now int64, from uint64, l membership.Letter) {
	v := &l.Proposal.Next
	if v.Rank(p.self.ID) >= 0 && v.Rank(from) >= 0 && slices.Contains(p.seek.words, v.Ring) {
		p.enter(now, from, l)
	}
}

// refused takes a no.
func (p *Process) refused(now int64, from uint64, l membership.Letter) {
	s := &p.seek
	switch {
	case p.site != nil:
		p.merge.failed(p, now, from)
	case s.asking != nil && s.asking.ID == from:
		s.vain, s.met = 0, now
		p.stopAsking(now, now+refusedFor, fmt.Errorf("process: %s at %v refused this process: %s", s.asking.Name, s.asking.Control, l.Text))
	case s.bid != nil && s.bid.from == from:
		s.bid = nil
	}
}
