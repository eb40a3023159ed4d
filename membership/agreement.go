package membership

import (
	"fmt"
	"slices"

	"cohort/internal/flaw"
)

// Data is the data plane of one view as its end needs it: see core.Machine,
// whose methods these are.
type Data interface {
	Freeze(now int64)
	Frozen() bool
	Row() []uint64
	Fetch(now int64, cut []uint64, holders []int)
	Fetched() bool
}

// Rules is what members of a ring agree on beforehand.
type Rules struct {
	Timeout int64 // ns without a sign of life, or an answer, after which a member is suspected
	Lone    bool  // go on without a majority
	Flaws   flaw.Set
}

// Agreement decides what one view is followed by: who is in the next one, and the
// cut, which is the packets of each sender that belong to this one. It is one
// instance of Paxos (Lamport, 1998) among the members of the view, where what is
// accepted is held: a member accepts a proposal only when it has all packets of its
// cut. It follows the reconfigurations of "virtually synchronous Paxos" (Birman,
// Malkhi & van Renesse, 2010). See docs/PROTOCOL.md.
//
// It is pure: letters, suspicions and the time go in, letters come out.
type Agreement struct {
	rules Rules
	view  View
	key   uint64
	self  int
	n     int
	data  Data

	joins    []Member
	leaving  uint64 // bit per rank
	dissolve bool
	suspects []Reason // per rank; 0: not suspected
	hearsay  uint64   // of these, bit per rank: only others say so
	blocked  bool     // those who are left are too few
	accused  bool     // another member suspects this one, and so has stopped

	promised  Ballot
	accepted  *Proposal // what this member has accepted, at the ballot acceptedAt
	acceptAt  Ballot
	pending   *Proposal // what it will accept once it holds the cut
	pendingAt Ballot

	lead    *lead
	highest Ballot // seen from anybody
	retryAt int64  // no new attempt before
	decided *Proposal

	out []Post
}

// lead is one attempt by this member.
type lead struct {
	ballot   Ballot
	since    int64 // start of the present phase
	promises []*Letter
	proposal *Proposal
	holders  []uint8
	accepts  uint64
}

// Post is a letter and the rank it goes to.
type Post struct {
	To int
	Letter
}

// NewAgreement returns the undecided agreement on what follows v, for the member
// with rank self.
func NewAgreement(rules Rules, v View, self int, data Data) *Agreement {
	n := len(v.Members)
	return &Agreement{rules: rules, view: v, key: v.Key(), self: self, n: n, data: data, suspects: make([]Reason, n)}
}

// Decided returns what the view is followed by, once that is known and this
// member holds the cut.
func (a *Agreement) Decided() (p Proposal, ok bool) {
	if a.decided == nil || !a.data.Fetched() {
		return Proposal{}, false
	}
	return *a.decided, true
}

// Gone returns why this member is not in the next view, once that is decided; 0: it
// is, or nothing is decided. Whoever did not leave takes no part in what the others
// deliver: they did not ask what it holds.
func (a *Agreement) Gone() (p Proposal, why Reason) {
	if a.decided == nil {
		return Proposal{}, 0
	}
	for _, d := range a.decided.Gone {
		if d.Rank == a.self {
			return *a.decided, d.Reason
		}
	}
	return Proposal{}, 0
}

// Over tells whether it is known what the view is followed by.
func (a *Agreement) Over() bool { return a.decided != nil }

// Blocked tells whether the members that are not suspected are too few to go on.
func (a *Agreement) Blocked() bool { return a.blocked }

// Take returns the letters to send, in order, and forgets them.
func (a *Agreement) Take() []Post {
	out := a.out
	a.out = nil
	return out
}

func (a *Agreement) post(to int, l Letter) {
	l.View, l.Num = a.key, a.view.Num
	a.out = append(a.out, Post{to, l})
}

// Suspect notes a failure that this member has found itself, and tells the
// others. Suspicion lasts as long as the view does, unless nobody can go on.
func (a *Agreement) Suspect(now int64, rank int, why Reason) {
	if rank == a.self || a.suspects[rank] != 0 && a.hearsay>>rank&1 == 0 {
		return
	}
	a.suspects[rank] = why
	a.hearsay &^= 1 << rank
	a.Tell()
	a.Step(now)
}

// Suspected returns why the member with this rank is suspected; 0: it is not.
func (a *Agreement) Suspected(rank int) Reason { return a.suspects[rank] }

// Tell repeats to the others whom this member suspects.
func (a *Agreement) Tell() {
	l := a.suspicions()
	for r := range a.n {
		if r != a.self {
			a.post(r, l)
		}
	}
}

func (a *Agreement) suspicions() Letter {
	l := Letter{Kind: Suspect}
	for r, why := range a.suspects {
		if why != 0 {
			l.Suspicions = append(l.Suspicions, Departure{r, why})
		}
	}
	return l
}

// Reachable notes that a connection to the member with this rank has been made
// again. If nobody could go on without it, it is not suspected any more.
func (a *Agreement) Reachable(now int64, rank int) {
	if a.blocked {
		a.forgive(now, rank)
	}
	if l := a.suspicions(); len(l.Suspicions) > 0 || a.data.Frozen() { // an answer tells if it has been decided
		a.post(rank, l)
	}
	a.remind(rank)
	a.Step(now)
}

// forgive takes back what is suspected of a member of a view that was blocked. It
// could not answer until now, so the time to answer begins now.
func (a *Agreement) forgive(now int64, rank int) {
	a.suspects[rank] = 0
	a.hearsay &^= 1 << rank
	if a.lead != nil {
		a.lead.since = now
	}
}

// StoodStill notes that this member's process did nothing for long. Answers that came
// meanwhile are yet to be read, so the time to answer begins now.
func (a *Agreement) StoodStill(now int64) {
	if a.lead != nil {
		a.lead.since = now
	}
}

// remind repeats to a member what this one, leading, waits for its answer to: it
// may never have been asked, or the letter was lost with a connection.
func (a *Agreement) remind(rank int) {
	l := a.lead
	switch {
	case l == nil || a.suspects[rank] != 0:
	case l.proposal == nil && l.promises[rank] == nil:
		a.post(rank, Letter{Kind: Prepare, Ballot: l.ballot})
	case l.proposal != nil && l.promises[rank] != nil && l.accepts>>rank&1 == 0:
		a.post(rank, Letter{Kind: Propose, Ballot: l.ballot, Proposal: *l.proposal, Holders: l.holders})
	}
}

// Forgive takes back suspicions that only others have voiced of members that this
// one can reach (bit per rank), if nobody can go on otherwise.
func (a *Agreement) Forgive(now int64, reachable uint64) {
	if !a.blocked || a.hearsay&reachable == 0 {
		return
	}
	for r := range a.n {
		if a.hearsay&reachable>>r&1 != 0 {
			a.forgive(now, r)
			a.remind(r)
		}
	}
	a.Step(now)
}

// Join asks that m be in the next view. Asking again does nothing, nor for one that
// is in this view.
func (a *Agreement) Join(m Member) {
	if a.view.Rank(m.ID) < 0 && !slices.ContainsFunc(a.joins, func(j Member) bool { return j.ID == m.ID }) {
		a.joins = append(a.joins, m)
	}
}

// Withdraw takes Join back, as long as nothing has been proposed.
func (a *Agreement) Withdraw(id uint64) {
	a.joins = slices.DeleteFunc(a.joins, func(m Member) bool { return m.ID == id })
}

// Leave asks for a next view without the member with this rank.
func (a *Agreement) Leave(rank int) { a.leaving |= 1 << rank }

// Dissolve asks that there be no next view.
func (a *Agreement) Dissolve() { a.dissolve = true }

// Leader returns the oldest member that is not suspected.
func (a *Agreement) Leader() int {
	for r, why := range a.suspects {
		if why == 0 {
			return r
		}
	}
	return a.self
}

func (a *Agreement) alive() (mask uint64) {
	for r, why := range a.suspects {
		if why == 0 {
			mask |= 1 << r
		}
	}
	return mask
}

// Quorum tells whether these ranks may decide: more than half of the view, or the
// half with its oldest member. Any two such sets meet, and each meets every
// majority that made a safe message deliverable.
func (a *Agreement) Quorum(ranks uint64) bool {
	k := 2 * count(ranks)
	switch {
	case a.rules.Lone:
		return ranks != 0
	case a.rules.Flaws.Has(flaw.AnyHalf):
		return k >= a.n
	}
	return k > a.n || k == a.n && ranks&1 != 0
}

func count(ranks uint64) (k int) {
	for ; ranks != 0; ranks &= ranks - 1 {
		k++
	}
	return k
}

// Receive takes a letter of this view from the member with rank from. Letters
// that cannot be true are dropped.
func (a *Agreement) Receive(now int64, from int, l Letter) {
	if from == a.self || !a.fits(l) {
		return
	}
	a.highest = max(a.highest, l.Ballot)
	switch l.Kind {
	case Suspect:
		a.hear(from, l.Suspicions)
	case Leave:
		a.Leave(from)
	case Prepare:
		a.prepare(now, from, l.Ballot)
	case Promise:
		if a.leads(l.Ballot) && a.lead.proposal == nil {
			a.lead.promises[from] = &l
		}
	case Reject:
		a.rejected(now, l.Ballot)
	case Propose:
		a.consider(now, from, l)
	case Accepted:
		if a.leads(l.Ballot) && a.lead.proposal != nil {
			a.lead.accepts |= 1 << from
		}
	case Install:
		a.install(now, l)
	}
	a.Step(now)
}

// Learn takes an Install from one who is not a member of this view but of the next.
func (a *Agreement) Learn(now int64, l Letter) {
	if l.Kind == Install && a.fits(l) {
		a.install(now, l)
	}
}

// maxRound bounds the rounds that are believed, far from where they would overflow.
const maxRound = 1 << 48

// fits tells whether the letter's vectors are those of this view.
func (a *Agreement) fits(l Letter) bool {
	if l.Ballot.round() > maxRound {
		return false
	}
	for _, d := range l.Suspicions {
		if d.Rank >= a.n {
			return false
		}
	}
	switch l.Kind {
	case Prepare:
		return l.Ballot.Rank() < a.n
	case Promise:
		return len(l.Row) == a.n && (l.Accepted == 0 || a.follows(l.Proposal))
	case Propose, Install:
		if !a.follows(l.Proposal) || len(l.Holders) != a.n {
			return false
		}
		for _, h := range l.Holders {
			if int(h) >= a.n {
				return false
			}
		}
	}
	return true
}

// follows tells whether p can follow this view.
func (a *Agreement) follows(p Proposal) bool {
	for _, d := range p.Gone {
		if d.Rank >= a.n {
			return false
		}
	}
	return len(p.Cut) == a.n && p.Next.Num == a.view.Num+1 && p.Next.Ring == a.view.Ring
}

// hear takes over what another member suspects, unless it is suspected itself.
func (a *Agreement) hear(from int, list []Departure) {
	if a.suspects[from] != 0 {
		return
	}
	a.accused = a.accused || len(list) == 0 // it has stopped, and suspects nobody any more
	for _, d := range list {
		if d.Rank == a.self { // it has stopped; if it cannot go on without this member, it does with this letter
			a.accused = true
			a.post(from, a.suspicions())
		}
		if d.Rank != a.self && a.suspects[d.Rank] == 0 {
			a.suspects[d.Rank] = d.Reason
			a.hearsay |= 1 << d.Rank
		}
	}
}

func (a *Agreement) leads(b Ballot) bool { return a.lead != nil && a.lead.ballot == b }

// prepare answers a leader: from now on this member takes part in no lower ballot,
// and holds what its row says and no more until it knows a cut.
func (a *Agreement) prepare(now int64, from int, b Ballot) {
	if a.suspects[from] != 0 || b.Rank() != from {
		return
	}
	if !a.promise(now, b) {
		a.post(from, Letter{Kind: Reject, Ballot: a.promised})
		return
	}
	a.post(from, a.answer(b))
}

// promise gives this member's word to ballot b, if it is free to.
func (a *Agreement) promise(now int64, b Ballot) bool {
	if b < a.promised && !a.rules.Flaws.Has(flaw.PromiseForgotten) {
		return false
	}
	if a.lead != nil && a.lead.ballot < b {
		a.lead = nil
	}
	if b > a.promised {
		a.pending = nil
	}
	a.promised = b
	a.data.Freeze(now)
	return true
}

func (a *Agreement) answer(b Ballot) Letter {
	l := Letter{Kind: Promise, Ballot: b, Row: a.data.Row()}
	if a.accepted != nil {
		l.Accepted, l.Proposal = a.acceptAt, *a.accepted
	}
	return l
}

// rejected gives way to the leader that has the higher ballot, for a while.
func (a *Agreement) rejected(now int64, b Ballot) {
	if a.lead != nil && b > a.lead.ballot {
		a.lead = nil
		a.retryAt = now + a.rules.Timeout/8*int64(1+a.self)
	}
}

// consider begins to fetch what is proposed; see Step for what follows. What has
// been accepted already is accepted again, since the leader has not heard that.
func (a *Agreement) consider(now int64, from int, l Letter) {
	if l.Ballot.Rank() != from {
		return
	}
	if !a.promise(now, l.Ballot) {
		a.post(from, Letter{Kind: Reject, Ballot: a.promised})
		return
	}
	if a.decided != nil && !slices.Equal(a.decided.Cut, l.Proposal.Cut) {
		return // with Lone only: what this member ends the view with is what it has been told
	}
	a.pending, a.pendingAt = &l.Proposal, l.Ballot
	a.data.Fetch(now, l.Proposal.Cut, ranks(l.Holders))
}

func ranks(holders []uint8) []int {
	r := make([]int, len(holders))
	for i, h := range holders {
		r[i] = int(h)
	}
	return r
}

// install takes what is decided.
func (a *Agreement) install(now int64, l Letter) {
	if a.decided == nil && a.mayEnd(&l.Proposal) {
		a.decided = &l.Proposal
		a.data.Freeze(now)
		a.data.Fetch(now, l.Proposal.Cut, ranks(l.Holders))
	}
}

// mayEnd tells whether this member may end its view with p, which others have decided.
// Where one is enough, two next views of the same members may be decided, with
// different cuts. Each of those members has accepted both, one after the other: so they
// all end with the same if each ends with the last that it has accepted only.
func (a *Agreement) mayEnd(p *Proposal) bool {
	if !a.rules.Lone || a.stay(p)>>a.self&1 == 0 {
		return true
	}
	return a.accepted != nil && a.accepted.Next.Key() == p.Next.Key() && slices.Equal(a.accepted.Cut, p.Cut)
}

// stay returns who of this view is in the next one, bit per rank.
func (a *Agreement) stay(p *Proposal) (mask uint64) {
	for r, m := range a.view.Members {
		if p.Next.Rank(m.ID) >= 0 {
			mask |= 1 << r
		}
	}
	return mask
}

// Step does what has become possible: accept, lead, propose, decide.
func (a *Agreement) Step(now int64) {
	if a.decided != nil {
		return
	}
	a.accept()
	alive := a.alive()
	if a.blocked = !a.Quorum(alive); a.blocked {
		a.data.Freeze(now)
		return
	}
	switch {
	case a.lead != nil:
		a.progress(now, alive)
	case a.Leader() == a.self && a.due() && now >= a.retryAt:
		a.begin(now, alive)
	}
}

// due tells whether the view has to end.
func (a *Agreement) due() bool {
	return a.data.Frozen() || a.accused || len(a.joins) > 0 || a.leaving != 0 || a.dissolve ||
		slices.ContainsFunc(a.suspects, func(r Reason) bool { return r != 0 })
}

// accept accepts what is pending once this member holds the cut.
func (a *Agreement) accept() {
	if a.pending == nil || !a.data.Fetched() && !a.rules.Flaws.Has(flaw.AcceptsUnfetched) {
		return
	}
	a.accepted, a.acceptAt, a.pending = a.pending, a.pendingAt, nil
	if leader := a.acceptAt.Rank(); leader != a.self {
		a.post(leader, Letter{Kind: Accepted, Ballot: a.acceptAt})
	} else if a.leads(a.acceptAt) {
		a.lead.accepts |= 1 << a.self
	}
}

// begin starts an attempt with a ballot higher than any seen.
func (a *Agreement) begin(now int64, alive uint64) {
	b := makeBallot(max(a.highest, a.promised).round()+1, a.self)
	if !a.promise(now, b) { // there is no higher one: it is for others to lead
		a.retryAt = Never
		return
	}
	a.highest = b
	a.lead = &lead{ballot: b, since: now, promises: make([]*Letter, a.n)}
	own := a.answer(b)
	a.lead.promises[a.self] = &own
	for r := range a.n {
		if r != a.self && alive>>r&1 != 0 {
			a.post(r, Letter{Kind: Prepare, Ballot: b})
		}
	}
	a.progress(now, alive)
}

// progress goes on with this member's attempt as far as the answers allow. All who
// are not suspected are waited for, since whoever is not asked must rejoin.
func (a *Agreement) progress(now int64, alive uint64) {
	l := a.lead
	if l.proposal == nil {
		answered := l.answered()
		if alive&^answered != 0 || !a.Quorum(answered) {
			a.overdue(now, a.rules.Timeout, alive&^answered)
			return
		}
		a.propose(now, answered)
	}
	if l = a.lead; l == nil || l.proposal == nil {
		return
	}
	if a.hopeless(alive) {
		a.begin(now, alive)
		return
	}
	waiting := alive & l.answered() &^ l.accepts
	if a.rules.Flaws.Has(flaw.InstallsAlone) && l.accepts>>a.self&1 != 0 {
		waiting = 0
	} else if !a.Quorum(l.accepts) || waiting != 0 {
		a.overdue(now, patience*a.rules.Timeout, waiting)
		return
	}
	a.decided = l.proposal
	for r := range a.n {
		if r != a.self {
			a.post(r, Letter{Kind: Install, Proposal: *l.proposal, Holders: l.holders})
		}
	}
}

// hopeless tells whether the attempt must be given up for another: a holder is
// suspected, and what it alone held may be lost; or too few of those who were asked
// are left, though others that have come back would do; or, where one is enough, one who
// is to go on has not accepted and is suspected: see mayEnd.
func (a *Agreement) hopeless(alive uint64) bool {
	l := a.lead
	if a.rules.Lone && a.stay(l.proposal)&^(alive|l.accepts) != 0 {
		return true
	}
	for _, h := range l.holders {
		if alive>>h&1 == 0 {
			return true
		}
	}
	return !a.Quorum(l.accepts | alive&l.answered())
}

// patience is how many timeouts a member may take to fetch a cut.
const patience = 8

func (l *lead) answered() (mask uint64) {
	for r, p := range l.promises {
		if p != nil {
			mask |= 1 << r
		}
	}
	return mask
}

// overdue suspects those who have not answered for too long.
func (a *Agreement) overdue(now, limit int64, missing uint64) {
	if now-a.lead.since <= limit {
		return
	}
	for r := range a.n {
		if missing>>r&1 != 0 && r != a.self {
			a.Suspect(now, r, Unanswering)
			return // that has called Step
		}
	}
	a.begin(now, a.alive()) // this member itself lacks something: others may have it
}

// propose adopts what may have been chosen before, or else makes a proposal: a
// next view of those who have answered, and a cut that is the union of what they
// hold, since each may have delivered all that it holds.
func (a *Agreement) propose(now int64, answered uint64) {
	l := a.lead
	p := a.adopted()
	if p == nil {
		p = &Proposal{Next: a.next(answered), Cut: a.union(), Gone: a.gone(answered)}
	}
	l.proposal, l.since, l.holders = p, now, l.who(p.Cut)
	for r := range a.n {
		if r != a.self && answered>>r&1 != 0 {
			a.post(r, Letter{Kind: Propose, Ballot: l.ballot, Proposal: *p, Holders: l.holders})
		}
	}
	a.pending, a.pendingAt = p, l.ballot
	a.data.Fetch(now, p.Cut, ranks(l.holders))
	a.accept()
}

// adopted returns what was accepted at the highest ballot among the answers; nil if
// nothing was, or, where one is enough, not all who are to go on have answered.
func (a *Agreement) adopted() *Proposal {
	var best *Letter
	for _, p := range a.lead.promises {
		if p != nil && p.Accepted != 0 && (best == nil || p.Accepted > best.Accepted) {
			best = p
		}
	}
	switch {
	case best == nil || a.rules.Flaws.Has(flaw.AcceptedIgnored):
		return nil
	case a.rules.Lone && a.stay(&best.Proposal)&^a.lead.answered() != 0:
		return nil
	}
	return &best.Proposal
}

func (a *Agreement) union() []uint64 {
	cut := slices.Clone(a.lead.promises[a.self].Row)
	for _, p := range a.lead.promises {
		for s := range cut {
			switch {
			case p == nil:
			case a.rules.Flaws.Has(flaw.CutByMinimum):
				cut[s] = min(cut[s], p.Row[s])
			default:
				cut[s] = max(cut[s], p.Row[s])
			}
		}
	}
	return cut
}

// who returns, for each sender, the oldest of those who answered that has all of
// its part of the cut; this member where it has.
func (l *lead) who(cut []uint64) []uint8 {
	holders := make([]uint8, len(cut))
	self := l.ballot.Rank()
	for s := range cut {
		holders[s] = uint8(self)
		for r, p := range l.promises {
			if p != nil && p.Row[s] >= cut[s] && l.promises[self].Row[s] < cut[s] {
				holders[s] = uint8(r)
				break
			}
		}
	}
	return holders
}

func (a *Agreement) next(answered uint64) View {
	v := View{Ring: a.view.Ring, Founded: a.view.Founded, Num: a.view.Num + 1}
	if a.dissolve {
		return v
	}
	for r, m := range a.view.Members {
		if answered&^a.leaving>>r&1 != 0 {
			v.Members = append(v.Members, m)
		}
	}
	if len(v.Members) == 0 { // the last one leaves: there is nobody to join
		return v
	}
	for _, m := range a.joins[:min(len(a.joins), MaxMembers-len(v.Members))] {
		m.Joined = v.Num
		v.Members = append(v.Members, m)
	}
	slices.SortFunc(v.Members, Older)
	return v
}

func (a *Agreement) gone(answered uint64) (list []Departure) {
	for r := range a.n {
		why := a.suspects[r]
		switch {
		case answered>>r&1 == 0: // and so it is suspected, and may hold what is not in the cut
		case a.dissolve:
			why = Merged
		case a.leaving>>r&1 != 0:
			why = Left
		default:
			continue
		}
		list = append(list, Departure{r, why})
	}
	return list
}

// Due returns when Step must be called at the latest, ns.
func (a *Agreement) Due() int64 {
	switch {
	case a.decided != nil || a.blocked:
		return Never
	case a.lead != nil && a.lead.proposal == nil:
		return a.lead.since + a.rules.Timeout + 1
	case a.lead != nil:
		return a.lead.since + patience*a.rules.Timeout + 1
	case a.Leader() == a.self && a.due():
		return a.retryAt
	}
	return Never
}

// String tells where the agreement stands, for people.
func (a *Agreement) String() string {
	return fmt.Sprintf("view %d: promised %d.%d, suspects %v, blocked %v, decided %v",
		a.view.Num, a.promised.round(), a.promised.Rank(), a.suspects, a.blocked, a.decided != nil)
}
