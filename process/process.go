// Package process is one process's whole protocol, from its start to its end: it
// looks for a ring, forms one with others or joins one, is a member (package
// site), meets other rings, and begins anew when the ring has gone on without it.
// It is pure, like its parts: beacons, packets, letters, news of connections and
// the time go in; beacons, packets, letters, wishes for connections, deliveries
// and views come out.
//
// A driver turns it like a site.Site, and besides:
//
//	p.Beacon                     what came of wire.Here and wire.Ring
//	p.Beacons(), p.Links()       what is to be multicast; whom to dial and hang up
//	p.Reborn(now, id)            once p.Out(): look for a ring as a new member
package process

import (
	"fmt"

	"cohort/core"
	"cohort/membership"
	"cohort/site"
	"cohort/slab"
	"cohort/wire"
)

// Config is what a Process needs to know.
type Config struct {
	Site site.Config

	// Expect is how many processes there are to be. A majority of them forms the
	// first view. Up to 1: a process that hears nobody for Discovery forms it alone.
	Expect    int
	Discovery int64 // ns; 0: DefaultDiscovery
}

// DefaultDiscovery is Config.Discovery if that is 0, ns.
const DefaultDiscovery = 250_000_000

// Sink is a site's. The first change after a start or a Reborn has no Old view:
// this process has entered a ring.
type Sink = site.Sink

// Process is one process. It is not safe for concurrent use.
type Process struct {
	cfg  Config
	self membership.Member
	pool *slab.Pool

	site    *site.Site // nil: outside of any ring
	entered bool       // the sink is to be told of the first view
	leaving bool
	links   links
	rings   []sighting // leaders of rings that this process is not in, by the time last heard
	seek    seek
	door    door
	merge   merge
	posts   []site.Post
	beacons []membership.Beacon
}

// New returns a process that looks for a ring from now on. The pool must belong
// to the same driver.
func New(now int64, cfg Config, self membership.Member, pool *slab.Pool) *Process {
	if cfg.Discovery == 0 {
		cfg.Discovery = DefaultDiscovery
	}
	p := &Process{cfg: cfg, pool: pool}
	p.begin(now, self)
	return p
}

func (p *Process) begin(now int64, self membership.Member) {
	self.Joined = 0
	p.self, p.site, p.entered, p.leaving = self, nil, false, false
	p.links, p.door, p.merge = links{}, door{}, merge{}
	p.seek = seek{since: now, due: now}
	p.posts, p.beacons = nil, nil
}

// Reborn begins anew, as a new member with this ID, which no process ever had.
// The driver gives up all connections and what it has polled of them.
func (p *Process) Reborn(now int64, id uint64) {
	self := p.self
	self.ID = id
	p.begin(now, self)
}

// Self returns this process as it presents itself to others.
func (p *Process) Self() membership.Member { return p.self }

// Site returns the site in the ring; nil outside.
func (p *Process) Site() *site.Site { return p.site }

// Out tells whether the process was in a ring and is not any more.
func (p *Process) Out() bool { return p.site != nil && p.site.Out() }

// In tells whether the process is a member of a view.
func (p *Process) In() bool { return p.site != nil && !p.site.Out() }

// Finishing tells whether the process delivers the last of its view, in an order that
// depends on what that is followed by.
func (p *Process) Finishing() bool { return p.In() && p.site.After() != 0 }

// Blocked tells whether the process is in a view of which too few members are
// left to go on.
func (p *Process) Blocked() bool { return p.In() && p.site.Blocked() }

// Leave asks for a next view without this process.
func (p *Process) Leave(now int64) {
	p.leaving = true
	if p.In() {
		p.site.Leave(now)
	}
}

// Submit is site.Site's. Outside nothing is taken.
func (p *Process) Submit(now int64, msg core.Message, part []byte) (taken int, done bool) {
	if p.site == nil {
		return 0, false
	}
	return p.site.Submit(now, msg, part)
}

// Abort is site.Site's.
func (p *Process) Abort(now int64) {
	if p.site != nil {
		p.site.Abort(now)
	}
}

// Train is site.Site's.
func (p *Process) Train(now int64, ref slab.Ref, off, size, segment int) {
	if p.site != nil {
		p.site.Train(now, ref, off, size, segment)
	}
}

// Flush does everything that is due.
func (p *Process) Flush(now int64) {
	switch {
	case p.site == nil:
		p.stepOutside(now)
	case !p.site.Out():
		p.site.Flush(now)
		p.stepInside(now)
	}
}

// stepInside is what a member does beside its site.
func (p *Process) stepInside(now int64) {
	p.merge.watch(now, p.site.Blocked())
	if p.links.due <= now || p.links.due == membership.Never && p.site.Ending() {
		p.tend(now)
	}
	if p.door.due <= now {
		p.present(now)
	}
	if p.merge.due <= now {
		p.approach(now)
	}
}

// Output is site.Site's.
func (p *Process) Output() []site.Out {
	if p.site == nil {
		return nil
	}
	return p.site.Output()
}

// Recycle is site.Site's.
func (p *Process) Recycle() {
	if p.site != nil {
		p.site.Recycle()
	}
}

// Detach is site.Site's.
func (p *Process) Detach(refs []slab.Ref) []slab.Ref {
	if p.site == nil {
		return refs
	}
	return p.site.Detach(refs)
}

// Letters returns what is to be sent over the control plane, in order, and
// forgets it. It comes before what Links asks for.
func (p *Process) Letters() []site.Post {
	posts := p.posts
	p.posts = nil
	if p.site != nil {
		posts = append(posts, p.site.Letters()...)
	}
	return posts
}

// Beacons returns what is to be multicast, and sent to the addresses where others
// may be, and forgets it.
func (p *Process) Beacons() []membership.Beacon {
	b := p.beacons
	p.beacons = nil
	return b
}

// Deadline returns the time, ns, at which Flush must be called at the latest.
func (p *Process) Deadline() int64 {
	switch {
	case p.site == nil:
		return p.outsideDue()
	case p.site.Out():
		return membership.Never
	}
	return min(p.site.Deadline(), p.links.due, p.door.due, p.merge.due)
}

// Deliver is site.Site's.
func (p *Process) Deliver(now int64, sink Sink, limit int) int {
	if p.site == nil {
		return 0
	}
	if p.entered {
		p.entered = false
		sink.View(site.Change{Next: p.site.View()})
	}
	before := p.site
	key := before.Key()
	n := before.Deliver(now, sink, limit)
	if p.site == before && before.Key() != key && !before.Out() {
		p.changed(now)
	}
	return n
}

// changed looks after what belongs to a view when the next one has come.
func (p *Process) changed(now int64) {
	p.greet(now)
	p.admitted(now)
	p.merge.due = min(p.merge.due, now+mergeEvery)
}

// enter begins the first view of this incarnation.
func (p *Process) enter(now int64, from uint64, l membership.Letter) {
	v := l.Proposal.Next
	s, err := site.New(now, p.cfg.Site, v, p.self.ID, p.pool)
	if err != nil { // a leader that lies: nobody can be in this view
		p.seek.problem = fmt.Errorf("process: view %d cannot be entered: %w", v.Num, err)
		return
	}
	p.site, p.entered = s, true
	p.self.Joined = v.Members[v.Rank(p.self.ID)].Joined
	if v.Num == 1 { // its founder may die before it has told everybody
		for _, m := range v.Members {
			if m.ID != p.self.ID {
				p.post(m.ID, l)
			}
		}
	}
	p.seek = seek{}
	p.merge.due = now + mergeEvery
	p.greet(now)
	if v.Num > 1 { // it may come to be the only one that knows how this view came about
		s.Letter(now, from, l)
	}
	if p.leaving {
		s.Leave(now)
	}
}

func (p *Process) post(to uint64, l membership.Letter) {
	p.posts = append(p.posts, site.Post{To: to, Letter: l})
}

// Letter takes a letter from the process with this ID. A Blob in it is borrowed.
// Kinds that are the driver's own, WantState, State and Hears, are not for it.
func (p *Process) Letter(now int64, from uint64, l membership.Letter) {
	if p.links.parting(from) {
		return
	}
	switch l.Kind {
	case membership.Join:
		p.knock(now, from, l)
	case membership.Ready:
		p.ready(now, from, l)
	case membership.Invite:
		p.invited(now, from, l)
	case membership.Refuse:
		p.refused(now, from, l)
	default:
		switch {
		case p.site != nil:
			p.site.Letter(now, from, l)
		case l.Kind == membership.Install:
			p.installed(now, from, l)
		}
	}
}

// Beacon takes a beacon that another process has multicast.
func (p *Process) Beacon(now int64, b membership.Beacon) {
	if b.From.ID == p.self.ID {
		return
	}
	switch {
	case b.Kind == wire.Ring:
		p.sight(now, b)
	case p.site == nil:
		p.hear(now, b)
	case p.In():
		p.answer(now)
	}
}
