// Package site is one process's protocol as a whole, as far as a view lasts and
// one follows the other: the machine of the view, the agreement on the next one,
// and the passage between the two. It is pure, like its parts: packets, letters,
// news of connections and the time go in; packets, letters, deliveries and views
// come out. A site is what Isis called a process in its system view.
//
// A driver turns it like a core.Machine:
//
//	s.Packet, s.Letter, s.Connected, s.Disconnected   what has come
//	s.Submit                                          messages of the program
//	s.Flush(now)                                      everything that is due
//	s.Output(), s.Recycle(), s.Letters()              what is to be sent
//	s.Deliver(sink, n)                                messages and views, in order
//	s.Deadline()                                      when to turn again
package site

import (
	"fmt"

	"cohort/core"
	"cohort/membership"
	"cohort/slab"
)

// Config is what a Site needs to know beside its view.
type Config struct {
	Core  core.Config // Heartbeat is set from Rules.Timeout
	Rules membership.Rules
	Slow  int64 // ns that a member may make the senders wait before it is suspected; 0: for ever
}

// Sink takes messages and views in delivery order.
type Sink interface {
	core.Sink
	// View tells of a change, after the last message of the old view.
	View(c Change)
}

// Change is the end of a view.
type Change struct {
	Old       membership.View
	Next      membership.View        // without members where the ring has dissolved
	Gone      []membership.Departure // ranks of Old
	Discarded uint64                 // packets of failed members that nobody can deliver: their causal past was lost with them
	Blocked   bool                   // too few members are left to go on, or to have all of Old; there is no Next yet
	Out       bool                   // this member is not in Next, or the ring has gone on without it
	Stats     core.Stats             // what the machine of Old counted, where it has ended
	Ended     *core.Machine          // and that machine, to ask how far its streams were delivered; valid during Sink.View
	Why       membership.Reason      // Out: Left or Merged, and all of Old has been delivered; else it was expelled, 0 if it is not known why
}

// Post is a letter and the member that it goes to.
type Post struct {
	To uint64
	membership.Letter
}

// Out is a train to send, and where: to all of the view, or to one member.
type Out struct {
	core.Out
	Member *membership.Member // nil: multicast
}

// Site is one member of a ring. It is not safe for concurrent use.
type Site struct {
	cfg  Config
	self uint64
	pool *slab.Pool

	view      membership.View
	key       uint64
	rank      int
	machine   *core.Machine
	previous  *core.Machine // of the view before, to repair what others lack of it; nil: nobody does
	before    membership.View
	agreement *membership.Agreement
	last      membership.Letter // the Install by which this view came, or by which this member is out; Kind 0: none is known
	leaving   bool              // has asked for a view without itself
	out       bool              // not a member any more
	lost      bool              // ... and others decided so without this member
	wasBlock  bool              // the program has been told that the view is blocked

	linked    map[uint64]bool // to whom there is a connection: members, and who may become one
	vigil     vigil
	early     []early
	earlySize int // charged bytes of these
	soon      []soon
	posts     []Post
	outs      []Out
}

// New returns the site of the member self of view v. A view that it joins, or one
// that has just formed, makes no difference; but who joins hands the Install to
// Letter too, to be able to tell those who have missed it. The error is core.New's.
func New(now int64, cfg Config, v membership.View, self uint64, pool *slab.Pool) (*Site, error) {
	cfg.Core.Heartbeat = cfg.Rules.Timeout / 4
	cfg.Core.Flaws = cfg.Rules.Flaws
	s := &Site{cfg: cfg, self: self, pool: pool, linked: map[uint64]bool{}}
	if v.Rank(self) < 0 {
		return nil, fmt.Errorf("site: %016x is not a member of view %d", self, v.Num)
	}
	return s, s.enter(now, v)
}

// enter begins a view.
func (s *Site) enter(now int64, v membership.View) error {
	rank := v.Rank(s.self)
	m, err := core.New(now, s.cfg.Core, v, rank, s.pool)
	if err != nil {
		return err
	}
	s.view, s.key, s.rank, s.machine, s.wasBlock = v, v.Key(), rank, m, false
	s.agreement = membership.NewAgreement(s.cfg.Rules, v, rank, m)
	s.vigil = newVigil(now, len(v.Members))
	if s.leaving {
		s.askToLeave()
	}
	s.replay(now)
	return nil
}

// View returns the view that the site is in, or was in last.
func (s *Site) View() membership.View { return s.view }

// Key returns View's key.
func (s *Site) Key() uint64 { return s.key }

// Before returns the view before View, if the site was in it.
func (s *Site) Before() membership.View { return s.before }

// Rank returns the site's rank in View.
func (s *Site) Rank() int { return s.rank }

// Machine returns the machine of View, to read its counters.
func (s *Site) Machine() *core.Machine { return s.machine }

// Blocked tells whether too few members are left to go on: to decide what the view is
// followed by, or to have all of it.
func (s *Site) Blocked() bool { return s.agreement.Blocked() || s.vigil.stuck }

// Ending tells whether the view is being brought to its end.
func (s *Site) Ending() bool { return s.machine.Frozen() }

// After returns the key of the view for which this one is being finished; 0: it is not.
// What is delivered then depends on it.
func (s *Site) After() uint64 {
	if p, ok := s.agreement.Decided(); ok {
		return p.Next.Key()
	}
	return 0
}

// Suspected returns why the member with this rank is suspected; 0: it is not.
func (s *Site) Suspected(rank int) membership.Reason { return s.agreement.Suspected(rank) }

// Heard returns when the member with this rank last gave a sign of life, ns.
func (s *Site) Heard(rank int) int64 { return s.machine.Heard(rank) }

// Out tells whether the site is not a member any more: it has left, or the others
// have gone on without it.
func (s *Site) Out() bool { return s.out }

// Leader returns the rank of the oldest member that is not suspected.
func (s *Site) Leader() int { return s.agreement.Leader() }

// Leading tells whether the site is the one to ask for changes of the view.
func (s *Site) Leading() bool { return !s.out && s.agreement.Leader() == s.rank }

// Admit asks that m be in the next view. It is for the leader, once m is connected
// to all members.
func (s *Site) Admit(now int64, m membership.Member) {
	if !s.out {
		s.agreement.Join(m)
		s.agreement.Step(now)
	}
}

// Withdraw takes Admit back, as long as nothing has been proposed.
func (s *Site) Withdraw(id uint64) { s.agreement.Withdraw(id) }

// Dissolve asks that there be no next view. It is for the leader.
func (s *Site) Dissolve(now int64) {
	s.agreement.Dissolve()
	s.agreement.Step(now)
}

// GiveUp ends this membership at once, as a crash would: nothing more of the view
// is delivered. It is for a member of a view that cannot go on.
func (s *Site) GiveUp() { s.lost = true }

// Leave asks for a next view without this member. Everything submitted before is
// delivered first.
func (s *Site) Leave(now int64) {
	if !s.out {
		s.leaving = true
		s.askToLeave()
		s.agreement.Step(now)
	}
}

// askToLeave tells the leader, whoever that is now.
func (s *Site) askToLeave() {
	s.agreement.Leave(s.rank)
	if to := s.agreement.Leader(); to != s.rank {
		s.post(s.view.Members[to].ID, membership.Letter{Kind: membership.Leave, View: s.key, Num: s.view.Num})
	}
}

// Submit is core.Machine's. While a view ends nothing is taken; a message of which
// a part had been taken must be submitted again from its beginning when View has
// changed.
func (s *Site) Submit(now int64, msg core.Message, part []byte) (taken int, done bool) {
	if s.out {
		return 0, false
	}
	return s.machine.Submit(now, msg, part)
}

// Abort is core.Machine's.
func (s *Site) Abort(now int64) { s.machine.Abort(now) }

// Flush does everything that is due.
func (s *Site) Flush(now int64) {
	if s.out {
		return
	}
	s.watch(now)
	s.agreement.Step(now)
	s.machine.Flush(now)
	s.collect()
}

// collect takes over the letters of the agreement and the packets of the machine.
func (s *Site) collect() {
	for _, p := range s.agreement.Take() {
		s.post(s.view.Members[p.To].ID, p.Letter)
	}
}

func (s *Site) post(to uint64, l membership.Letter) { s.posts = append(s.posts, Post{to, l}) }

// Letters returns what is to be sent over the control plane, in order, and
// forgets it. Letters to members that are not connected may be dropped.
func (s *Site) Letters() []Post {
	posts := s.posts
	s.posts = nil
	return posts
}

// Output returns the packets to send, in order. Valid until Recycle or Detach, one of which
// must come before Deliver.
func (s *Site) Output() []Out {
	s.take(s.machine, &s.view)
	if s.previous != nil {
		s.take(s.previous, &s.before)
	}
	return s.outs
}

func (s *Site) take(m *core.Machine, v *membership.View) {
	for _, o := range m.Output() {
		out := Out{Out: o}
		if o.To != core.Multicast {
			out.Member = &v.Members[o.To]
		}
		s.outs = append(s.outs, out)
	}
}

// dropPrevious forgets the view before this one.
func (s *Site) dropPrevious() {
	if s.previous != nil {
		s.previous.Release()
		s.previous = nil
	}
}

// Recycle takes back what Output returned.
func (s *Site) Recycle() {
	s.machine.Recycle()
	if s.previous != nil {
		s.previous.Recycle()
	}
	s.outs = s.outs[:0]
}

// Detach is Recycle for who goes on before it has sent all: see core.Machine.Detach.
func (s *Site) Detach(refs []slab.Ref) []slab.Ref {
	refs = s.machine.Detach(refs)
	if s.previous != nil {
		refs = s.previous.Detach(refs)
	}
	s.outs = s.outs[:0]
	return refs
}

// Deadline returns the time, ns, at which Flush must be called at the latest.
func (s *Site) Deadline() int64 {
	if s.out {
		return membership.Never
	}
	return min(s.machine.Deadline(), s.agreement.Due(), s.vigilDue())
}

// Deliver hands what is deliverable to sink, until there is nothing, the sink
// refuses, or about limit messages have been delivered; when a view has ended and
// all of it is delivered, the change, and then the next view's. It returns the
// number of messages delivered.
func (s *Site) Deliver(now int64, sink Sink, limit int) (count int) {
	if s.out {
		return 0
	}
	count = s.machine.Deliver(sink, limit)
	if s.Blocked() && !s.wasBlock {
		s.wasBlock = true
		sink.View(Change{Old: s.view, Blocked: true})
	}
	gone, why := s.agreement.Gone()
	if s.lost || why != 0 && why != membership.Left && why != membership.Merged {
		s.end(now, sink, gone)
		return count
	}
	p, ok := s.agreement.Decided()
	if !ok {
		return count
	}
	k, done := s.machine.Finish(sink, limit)
	count += k
	if done {
		s.end(now, sink, p)
	}
	return count
}

// end leaves the view, for the next one if this member is in it.
func (s *Site) end(now int64, sink Sink, p membership.Proposal) {
	s.collect()
	c := Change{Old: s.view, Next: p.Next, Gone: p.Gone, Out: p.Next.Rank(s.self) < 0}
	c.Stats, c.Ended = s.machine.Stats(), s.machine
	c.Discarded = c.Stats.Discarded
	s.dropPrevious()
	if !s.lost {
		s.last = membership.Letter{Kind: membership.Install, View: s.key, Num: s.view.Num, Proposal: p, Holders: make([]uint8, len(p.Cut))}
	}
	if c.Out {
		s.machine.Release()
		if !s.lost {
			_, c.Why = s.agreement.Gone()
		}
		s.out = true
		s.drop()
		sink.View(c)
		return
	}
	s.machine.Recycle()
	s.previous, s.before = s.machine, s.view
	if s.enter(now, p.Next) != nil { // a leader that lies: nobody can be in this view
		s.dropPrevious()
		s.out, c.Out = true, true
		s.drop()
	} else {
		s.welcome(p)
	}
	sink.View(c)
}

// welcome sends the decision to those who join by it. All who stay do: the leader
// may die before it has told anybody.
func (s *Site) welcome(p membership.Proposal) {
	for _, r := range p.Next.Joined() {
		s.post(p.Next.Members[r].ID, s.last)
	}
}

// String tells where the site stands, for people.
func (s *Site) String() string { return fmt.Sprintf("%v, out %v", s.agreement, s.out) }
