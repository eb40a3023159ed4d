package process

import (
	"fmt"
	"slices"

	"cohort/membership"
	"cohort/wire"
)

// Times of letting others in, ns.
const (
	presentEvery = 500_000_000 // how often a leader says that its ring exists
	answerEvery  = 20_000_000  // and at most, when somebody looks for one
)

// door is a leader's part in letting others in. A candidate is admitted once it
// is connected to all members, so that nobody in a view has yet to be reached.
type door struct {
	candidates []candidate // in the order that they came
	due        int64       // of the next beacon
	last       int64       // when one was sent
}

type candidate struct {
	membership.Member
	since    int64  // of its asking, or of the view
	invited  uint64 // key of the view it was invited into
	admitted bool   // it is ready, and waits for the next view
}

// present says that this ring exists: its leader does, and in a blocked one
// everybody, so that others can tell what is wrong.
func (p *Process) present(now int64) {
	d := &p.door
	d.due, d.last = now+presentEvery, now
	v := p.site.View()
	b := membership.Beacon{
		Kind: wire.Ring, From: p.self, Expect: p.cfg.Expect,
		Ring: v.Ring, Founded: v.Founded, Num: v.Num, Key: p.site.Key(), Size: len(v.Members),
	}
	switch {
	case p.site.Blocked():
		b.Size = 0
	case !p.site.Leading():
		return
	}
	p.beacons = append(p.beacons, b)
}

// answer brings the next beacon forward: somebody looks for a ring.
func (p *Process) answer(now int64) {
	d := &p.door
	if every := int64(answerEvery); p.site.Leading() && !p.site.Blocked() {
		d.due = min(d.due, max(now, d.last+every))
	}
}

// knock takes a request to be let in. One who is in the view already has asked
// because it does not know that yet: all send it the Install.
func (p *Process) knock(now int64, from uint64, l membership.Letter) {
	if !p.In() || l.Member.ID != from || !p.links.has(from) || p.site.View().Rank(from) >= 0 {
		return
	}
	p.dropCandidate(from)
	if why := p.refusal(now, l); why != "" {
		p.refuse(from, why)
		return
	}
	d := &p.door
	l.Member.Joined = 0
	d.candidates = append(d.candidates, candidate{Member: l.Member, since: now})
	p.invite(&d.candidates[len(d.candidates)-1])
}

func (p *Process) refuse(id uint64, why string) {
	p.post(id, membership.Letter{Kind: membership.Refuse, Text: why})
}

// refusal says why somebody cannot be let in; "" if it can.
func (p *Process) refusal(now int64, l membership.Letter) string {
	switch {
	case p.site.Blocked() || !p.site.Leading():
		return "this member cannot let anybody in; its leader can"
	case p.site.View().Rank(l.Member.ID) >= 0:
		return "this process is in the view already; the ring has yet to notice that it does not know"
	case l.Lone != p.cfg.Site.Rules.Lone:
		return "the members disagree on whether to go on without a majority"
	case len(p.door.candidates) >= membership.MaxMembers && !p.makeWay(now):
		return "too many want to be let in"
	}
	return p.tooMany(l.Member)
}

// tooMany says why m cannot be in a view with all who are in this one; "" if it can.
func (p *Process) tooMany(m membership.Member) string {
	v := p.site.View()
	n := len(v.Members) + 1
	switch {
	case n > membership.MaxMembers:
		return fmt.Sprintf("the ring is full: %d members", len(v.Members))
	case int(m.Segment) < wire.MinSegment(n) || v.Segment() < wire.MinSegment(n):
		return fmt.Sprintf("packets of %d bytes are too small for %d members", min(int(m.Segment), v.Segment()), n)
	}
	return ""
}

// fits tells whether m can be let in together with those who wait for the next view.
func (p *Process) fits(m membership.Member) bool {
	v := p.site.View()
	n, least := len(v.Members)+1, min(v.Segment(), int(m.Segment))
	for _, c := range p.door.candidates {
		if c.admitted {
			n, least = n+1, min(least, int(c.Segment))
		}
	}
	return n <= membership.MaxMembers && least >= wire.MinSegment(n)
}

// makeWay drops the candidate that has not become ready for longest, if it has had
// time to.
func (p *Process) makeWay(now int64) bool {
	for _, c := range p.door.candidates {
		if !c.admitted && now-c.since > graceFor {
			p.dropCandidate(c.ID)
			p.refuse(c.ID, "others want to be let in, too")
			return true
		}
	}
	return false
}

// dropLate drops the candidates that do not become ready.
func (p *Process) dropLate(now int64) {
	p.door.candidates = slices.DeleteFunc(p.door.candidates, func(c candidate) bool {
		late := !c.admitted && now-c.since > askFor
		if late {
			p.refuse(c.ID, "it is not connected to all members")
		}
		return late
	})
}

// invite tells a candidate whom to connect to.
func (p *Process) invite(c *candidate) {
	full := p.with(c.Member)
	c.invited = full.Key()
	p.post(c.ID, membership.Letter{Kind: membership.Invite, Full: full})
}

// with returns the present view with m in it.
func (p *Process) with(m membership.Member) membership.View {
	v := p.site.View()
	v.Num++
	m.Joined = v.Num
	v.Members = append(slices.Clone(v.Members), m)
	slices.SortFunc(v.Members, membership.Older)
	return v
}

// ready takes the word of one who has been invited.
func (p *Process) ready(now int64, from uint64, l membership.Letter) {
	if p.site == nil {
		if f := p.seek.found; f != nil && l.View == f.view.Key() {
			if r := f.view.Rank(from); r >= 0 {
				f.ready[r] = true
				p.convene(now)
			}
		}
		return
	}
	for i := range p.door.candidates {
		c := &p.door.candidates[i]
		if c.ID == from && c.invited == l.View && p.In() && p.with(c.Member).Key() == l.View && p.site.Leading() && !c.admitted && p.fits(c.Member) {
			c.admitted = true
			p.site.Admit(now, c.Member)
		}
	}
}

// admitted looks after the candidates when a view has begun: who is in it is none
// any more, the others are invited anew, or sent to the new leader.
func (p *Process) admitted(now int64) {
	d := &p.door
	d.due = now
	leading := p.site.Leading() && !p.site.Blocked()
	d.candidates = slices.DeleteFunc(d.candidates, func(c candidate) bool {
		if p.site.View().Rank(c.ID) >= 0 {
			return true
		}
		why := p.tooMany(c.Member)
		if !leading {
			why = "the ring has another leader now"
		}
		if why != "" {
			p.refuse(c.ID, why)
		}
		return why != ""
	})
	for i := range d.candidates {
		c := &d.candidates[i]
		c.since, c.admitted = now, false
		p.invite(c)
	}
}

func (p *Process) dropCandidate(id uint64) {
	before := len(p.door.candidates)
	p.door.candidates = slices.DeleteFunc(p.door.candidates, func(c candidate) bool { return c.ID == id })
	if len(p.door.candidates) < before && p.In() {
		p.site.Withdraw(id)
	}
}
