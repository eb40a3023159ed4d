package membership

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// story is one way through a world, told step by step.
type story struct {
	*search
	w *world
	t *testing.T
}

func tell(t *testing.T, rows [][]uint64, ask func([]*Agreement)) *story {
	t.Parallel()
	s, w := newSearch(begin{rows: rows, ask: ask}, 0, 0)
	return &story{s, w, t}
}

func (y *story) do(kind byte, a, b int) {
	y.t.Helper()
	c := act{kind, a, b}
	y.path = append(y.path, c.String())
	y.w = y.step(y.w, c)
	y.report(y.t)
}

// brings hands over one letter, which must be of this kind.
func (y *story) brings(from, to int, kind LetterKind) {
	y.t.Helper()
	q := y.w.links[from*y.n+to]
	if len(q) == 0 || q[0].what != 'l' || q[0].l.Kind != kind {
		y.t.Fatalf("%d→%d has %v under way, want %v", from, to, q, kind)
	}
	y.do('l', from, to)
}

// crashes loses what the member has sent, too.
func (y *story) crashes(a int) {
	y.t.Helper()
	y.do('c', a, a)
	for b := range y.n {
		if q := y.w.links[a*y.n+b]; len(q) > 1 {
			y.do('x', a, b)
		}
	}
}

// proposed goes on until the leader of three has answers from all.
func (y *story) proposed() {
	y.t.Helper()
	for r := 1; r <= 2; r++ {
		y.brings(0, r, Prepare)
		y.brings(r, 0, Promise)
	}
}

// quiet lets everything happen that takes no time.
func (y *story) quiet() {
	y.t.Helper()
	for {
		moves, _ := y.enabled(y.w)
		if len(moves) == 0 {
			return
		}
		y.do(moves[0].kind, moves[0].a, moves[0].b)
	}
}

// ends lets everything happen, and returns what was decided by these, and by no others.
func (y *story) ends(by ...int) (p Proposal) {
	y.t.Helper()
	y.w = y.settle(y.w)
	y.report(y.t)
	for r, x := range y.w.nodes {
		if x.dead {
			continue
		}
		got, ok := x.a.Decided()
		if ok != slices.Contains(by, r) {
			y.t.Fatalf("%d has decided: %v; want those who have to be %v\n%v", r, ok, by, x.a)
		}
		if ok {
			p = got
		}
	}
	return p
}

// want compares the next view, by the members' IDs.
func (y *story) want(p Proposal, cut []uint64, gone []Departure, ids ...uint64) {
	y.t.Helper()
	var got []uint64
	for _, m := range p.Next.Members {
		got = append(got, m.ID)
	}
	if !slices.Equal(got, ids) || !slices.Equal(p.Cut, cut) || !slices.Equal(p.Gone, gone) {
		y.t.Errorf("next %v, cut %v, gone %v; want %v, %v, %v", got, p.Cut, p.Gone, ids, cut, gone)
	}
}

// TestLeaderCrashesAfterPrepare: nothing has been proposed, so the next leader asks anew.
func TestLeaderCrashesAfterPrepare(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	y.brings(0, 1, Prepare)
	y.brings(0, 2, Prepare)
	y.crashes(0)
	y.want(y.ends(1, 2), []uint64{2, 1, 1}, []Departure{{0, Crashed}}, 2, 3)
}

// TestLeaderCrashesAfterPropose: one member has accepted, so that may be what was
// decided, and it is, with the dead leader and all.
func TestLeaderCrashesAfterPropose(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	y.proposed()
	y.brings(0, 1, Propose)
	if y.w.nodes[1].a.accepted != nil {
		t.Fatal("accepted without the cut")
	}
	y.do('f', 1, 1)
	if y.w.nodes[1].a.accepted == nil {
		t.Fatal("not accepted with the cut")
	}
	y.crashes(0)
	y.want(y.ends(1, 2), []uint64{2, 1, 1}, nil, 1, 2, 3, 9)
}

// TestLeaderCrashesWithAProposalNobodyAccepted: the next one makes its own.
func TestLeaderCrashesWithAProposalNobodyAccepted(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	y.proposed()
	y.brings(0, 1, Propose) // and 1 cannot fetch any more what 2 has
	y.crashes(0)
	y.do('l', 0, 1)
	y.want(y.ends(1, 2), []uint64{2, 1, 1}, []Departure{{0, Crashed}}, 2, 3)
}

// TestLeaderCrashesBeforeTelling: it alone knew what is decided; the others find the same.
func TestLeaderCrashesBeforeTelling(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	y.proposed()
	for r := 1; r <= 2; r++ {
		y.brings(0, r, Propose)
		y.do('f', r, r)
	}
	y.do('f', 0, 0)
	y.brings(1, 0, Accepted)
	if y.w.nodes[0].a.Over() {
		t.Fatal("decided while one that is not suspected has not accepted")
	}
	y.brings(2, 0, Accepted)
	if !y.w.nodes[0].a.Over() {
		t.Fatal("not decided when all have accepted")
	}
	y.crashes(0)
	y.want(y.ends(1, 2), []uint64{2, 1, 1}, nil, 1, 2, 3, 9)
}

// TestThoseWhoMissedTheDecisionAreTold by others than the leader, which told one of
// them and crashed.
func TestThoseWhoMissedTheDecisionAreTold(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	y.proposed()
	for r := 1; r <= 2; r++ {
		y.brings(0, r, Propose)
		y.do('f', r, r)
	}
	y.do('f', 0, 0)
	y.brings(1, 0, Accepted)
	y.brings(2, 0, Accepted)
	y.brings(0, 1, Install)
	y.crashes(0)
	y.want(y.ends(1, 2), []uint64{2, 1, 1}, nil, 1, 2, 3, 9)
}

// TestOfTwoTheOlderGoesOn: the younger is blocked, and hears of it when it is back.
func TestOfTwoTheOlderGoesOn(t *testing.T) {
	y := tell(t, rowsOf2, nil)
	y.do('p', 0, 1)
	y.want(y.ends(0), []uint64{2, 0}, []Departure{{1, Crashed}}, 1)
	if !y.w.nodes[1].a.Blocked() {
		t.Error("the younger is not blocked")
	}
	y.do('h', 0, 1)
	y.ends(0)
	if _, why := y.w.nodes[1].a.Gone(); why != Crashed {
		t.Errorf("the younger has heard that it is gone as %q", why)
	}
}

// TestTheYoungerOfTwoIsBlocked: if the older crashes, the younger cannot know that
// it has not gone on.
func TestTheYoungerOfTwoIsBlocked(t *testing.T) {
	y := tell(t, rowsOf2, nil)
	y.crashes(0)
	y.ends()
	if !y.w.nodes[1].a.Blocked() || !y.w.nodes[1].d.frozen || y.w.nodes[1].a.Due() != Never {
		t.Errorf("it is not blocked and waits: %v", y.w.nodes[1].a)
	}
}

// TestBlockedMembersGoOn when enough of them can reach each other again, even if
// all had been cut off from all.
func TestBlockedMembersGoOn(t *testing.T) {
	y := tell(t, rowsOf3, nil)
	y.do('p', 0, 1)
	y.do('p', 0, 2)
	y.do('p', 1, 2)
	y.ends()
	for _, x := range y.w.nodes {
		if !x.a.Blocked() {
			t.Errorf("not blocked: %v", x.a)
		}
	}
	y.do('h', 1, 2)
	y.want(y.ends(1, 2), []uint64{2, 1, 1}, []Departure{{0, Crashed}}, 2, 3)
}

// TestTheMinorityIsTold: it is blocked while it is cut off, and not in the next view.
func TestTheMinorityIsTold(t *testing.T) {
	y := tell(t, rowsOf3, nil)
	y.do('p', 0, 1)
	y.do('p', 0, 2)
	y.want(y.ends(1, 2), []uint64{2, 1, 1}, []Departure{{0, Crashed}}, 2, 3)
	y.do('h', 0, 2)
	y.ends(1, 2)
	if _, why := y.w.nodes[0].a.Gone(); why != Crashed {
		t.Errorf("the minority has heard that it is gone as %q", why)
	}
}

// TestLeave: who leaves holds the cut like the others, and is told so.
func TestLeave(t *testing.T) {
	y := tell(t, rowsOf3, func(as []*Agreement) {
		as[2].Leave(2)
		as[0].Receive(0, 2, Letter{Kind: Leave})
	})
	y.want(y.ends(0, 1, 2), []uint64{2, 1, 1}, []Departure{{2, Left}}, 1, 2)
	if _, why := y.w.nodes[2].a.Gone(); why != Left {
		t.Errorf("it is gone as %q", why)
	}
}

// TestTheLastOneLeaves: there is nobody left whom one could join.
func TestTheLastOneLeaves(t *testing.T) {
	y := tell(t, [][]uint64{{1}}, func(as []*Agreement) {
		as[0].Leave(0)
		as[0].Join(person(9, 9))
	})
	y.want(y.ends(0), []uint64{1}, []Departure{{0, Left}})
}

// TestJoin: joiners are the youngest, whatever their clocks say; asking twice is
// asking once, and asking may be taken back.
func TestJoin(t *testing.T) {
	y := tell(t, rowsOf3, func(as []*Agreement) {
		as[0].Join(person(9, -5))
		as[0].Join(person(9, -5))
		as[0].Join(person(8, -6))
		as[0].Join(person(2, 2))
		as[0].Withdraw(8)
		as[0].Join(person(7, -7))
	})
	p := y.ends(0, 1, 2)
	y.want(p, []uint64{2, 1, 1}, nil, 1, 2, 3, 7, 9)
	if joined := p.Next.Joined(); !slices.Equal(joined, []int{3, 4}) {
		t.Errorf("ranks %v are said to be new", joined)
	}
}

// TestDissolve: there is no next view, and all know why.
func TestDissolve(t *testing.T) {
	y := tell(t, rowsOf3, func(as []*Agreement) { as[0].Dissolve() })
	y.want(y.ends(0, 1, 2), []uint64{2, 1, 1}, []Departure{{0, Merged}, {1, Merged}, {2, Merged}})
}

// TestWhoIsNotAskedIsNotMerged: it may have delivered, and sent, what is not in the cut. So
// it is expelled, as from any other view.
func TestWhoIsNotAskedIsNotMerged(t *testing.T) {
	y := tell(t, rowsOf3, func(as []*Agreement) { as[0].Dissolve() })
	y.do('p', 0, 2)
	y.do('p', 1, 2)
	y.want(y.ends(0, 1), []uint64{2, 1, 0}, []Departure{{0, Merged}, {1, Merged}, {2, Crashed}})
}

// TestMutualSuspicionSettles: both lead, the higher ballot wins or the lower
// finishes first, and one next view comes of it.
func TestMutualSuspicionSettles(t *testing.T) {
	y := tell(t, rowsOf3, nil)
	y.w.left.wrong = 2
	y.do('s', 0, 1)
	y.do('s', 1, 0)
	y.quiet()
	y.w = y.settle(y.w)
	y.report(t)
	decided := 0
	for _, x := range y.w.nodes {
		if x.over() {
			decided++
		}
		if round := x.a.highest.round(); round > 4 {
			t.Errorf("it took %d rounds", round)
		}
	}
	if decided != 3 {
		t.Errorf("%d of 3 know the outcome", decided)
	}
}

// TestTheLowerBallotIsRejected: its leader gives way for a while, by rank.
func TestTheLowerBallotIsRejected(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	a := y.w.nodes[0].a
	a.Receive(0, 1, Letter{Kind: Reject, Ballot: makeBallot(7, 1)})
	if a.lead != nil || a.Due() != timeout/8 {
		t.Errorf("it leads: %v; its next attempt is due at %d, want %d", a.lead != nil, a.Due(), timeout/8)
	}
	a.Step(a.Due())
	if a.lead == nil || a.lead.ballot != makeBallot(8, 0) {
		t.Errorf("the next attempt is %+v, want ballot 8.0", a.lead)
	}
	b := alone(1, 3)
	b.Suspect(0, 0, Crashed)
	if b.Receive(0, 2, Letter{Kind: Reject, Ballot: makeBallot(7, 2)}); b.lead != nil || b.Due() != timeout/4 {
		t.Errorf("the next in rank leads: %v; its next attempt is due at %d, want %d", b.lead != nil, b.Due(), timeout/4)
	}
}

// TestOnlyThisBallotCounts: who accepted an earlier proposal has not accepted this.
func TestOnlyThisBallotCounts(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	y.proposed()
	a := y.w.nodes[0].a
	for _, b := range []Ballot{a.lead.ballot - 1, a.lead.ballot + 256} {
		if a.Receive(0, 1, Letter{Kind: Accepted, Ballot: b}); a.lead.accepts != 0 {
			t.Errorf("%x counts for %x", b, a.lead.ballot)
		}
	}
	if a.Receive(0, 1, Letter{Kind: Accepted, Ballot: a.lead.ballot}); a.lead.accepts != 0b10 {
		t.Errorf("accepted by %b, want rank 1", a.lead.accepts)
	}
}

// TestUnansweringMembersAreSuspected after a timeout, and those who do not fetch
// the cut after eight.
func TestUnansweringMembersAreSuspected(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	a := y.w.nodes[0].a
	a.Step(timeout)
	if a.Suspected(1) != 0 || a.Due() != timeout+1 {
		t.Fatalf("suspected after %d ns, due at %d", timeout, a.Due())
	}
	y.brings(0, 2, Prepare)
	y.brings(2, 0, Promise)
	y.do('t', 0, 0)
	a = y.w.nodes[0].a
	if a.Suspected(1) != Unanswering || a.Suspected(2) != 0 {
		t.Fatalf("suspects are %v", a.suspects)
	}
	if a.lead == nil || a.lead.proposal == nil || a.Due() != timeout+1+8*timeout+1 {
		t.Errorf("it has not proposed, or is due at %d", a.Due())
	}
	due := a.Due()
	if a.Step(due - 1); a.Suspected(2) != 0 {
		t.Error("suspected while it may be fetching")
	}
	if a.Step(due); a.Suspected(2) != Unanswering {
		t.Error("not suspected though it does not accept")
	}
}

// apart cuts all of three off from each other, for a long time.
func (y *story) apart() {
	y.t.Helper()
	for _, pair := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		y.do('p', pair[0], pair[1])
	}
	y.quiet()
	for range 10 {
		for r := range 3 {
			y.do('t', r, r)
		}
	}
}

// quick wants these to have decided, in at most this many steps, none of them that
// time passes.
func (y *story) quick(steps int, by ...int) {
	y.t.Helper()
	before := len(y.path)
	y.quiet()
	if k := len(y.path) - before; k > steps {
		y.t.Errorf("it took %d steps, want at most %d:\n\t%s", k, steps, strings.Join(y.path[before:], "\n\t"))
	}
	for _, r := range by {
		if a := y.w.nodes[r].a; !a.Over() {
			y.t.Errorf("%d has not decided: %v", r, a)
		}
	}
}

// TestWhoComesBackIsWaitedFor: it could not answer in all the time that the view
// was blocked.
func TestWhoComesBackIsWaitedFor(t *testing.T) {
	y := tell(t, rowsOf3, joinAt0)
	y.apart()
	y.do('h', 0, 1)
	y.quick(16, 0, 1)
}

// TestWhoComesBackIsAskedToAcceptAgain what it was asked to before.
func TestWhoComesBackIsAskedToAcceptAgain(t *testing.T) {
	y := tell(t, [][]uint64{{2, 1, 1}, {2, 1, 0}, {1, 0, 1}}, joinAt0)
	y.proposed()
	y.apart()
	y.do('h', 0, 1)
	y.quick(16, 0, 1)
}

// TestWhoIsForgivenIsAsked: it was not while it was suspected, and the time that
// has passed since then is not held against it.
func TestWhoIsForgivenIsAsked(t *testing.T) {
	y := tell(t, rowsOf3, nil)
	y.do('s', 1, 2)
	y.brings(1, 0, Suspect)
	y.do('c', 1, 1)
	y.do('x', 1, 2)
	y.do('l', 1, 2)
	for len(y.w.links[3]) > 0 {
		y.do('l', 1, 0)
	}
	if !y.w.nodes[0].a.Blocked() {
		t.Fatal("not blocked")
	}
	y.do('t', 0, 0)
	if a := y.w.nodes[0].a; a.Suspected(2) != 0 || a.lead == nil || a.lead.since != y.w.nodes[0].now {
		t.Fatalf("not forgiven, or not for long: %v", a)
	}
	y.quick(16, 0, 2)
}

// TestWhoHasTheCut: this member where it does, so that it does not depend on others;
// else the oldest. And the ring stays as old as it is.
func TestWhoHasTheCut(t *testing.T) {
	t.Parallel()
	a := alone(1, 4)
	a.view.Founded = 5
	a.data.(*plane).row = []uint64{3, 2, 0, 0}
	a.Suspect(0, 0, Crashed)
	a.Receive(0, 2, Letter{Kind: Promise, Ballot: makeBallot(1, 1), Row: []uint64{3, 2, 4, 1}})
	a.Receive(0, 3, Letter{Kind: Promise, Ballot: makeBallot(1, 1), Row: []uint64{1, 2, 4, 2}})
	p := a.lead.proposal
	if p == nil || !slices.Equal(a.lead.holders, []uint8{1, 1, 2, 3}) || !slices.Equal(p.Cut, []uint64{3, 2, 4, 2}) {
		t.Fatalf("proposal %+v, holders %v", p, a.lead.holders)
	}
	if !slices.Equal(p.Gone, []Departure{{0, Crashed}}) || p.Next.Founded != 5 {
		t.Errorf("gone %v, founded %d", p.Gone, p.Next.Founded)
	}
}

// TestAnAttemptWithTooFewIsGivenUp at once, when one who was not asked would do.
func TestAnAttemptWithTooFewIsGivenUp(t *testing.T) {
	t.Parallel()
	a := alone(0, 5)
	a.Suspect(0, 4, Silent)
	for r := 1; r <= 3; r++ {
		a.Receive(0, r, Letter{Kind: Promise, Ballot: makeBallot(1, 0), Row: make([]uint64, 5)})
	}
	a.Suspect(0, 3, Crashed)
	if a.lead.proposal == nil || a.lead.ballot.round() != 1 || slices.Contains(sent(a), "4 Propose") {
		t.Fatalf("it has not proposed to those who answered, or given up too soon: %v", a)
	}
	a.Suspect(0, 2, Crashed)
	a.Reachable(0, 4)
	if a.lead.proposal != nil || a.lead.ballot.round() != 2 {
		t.Errorf("it waits for those who are gone: %v", a)
	}
}

// alone returns the agreement of one member of n, in which everybody holds nothing.
func alone(self, n int) *Agreement {
	v := View{Ring: 7, Num: 3}
	for r := range n {
		v.Members = append(v.Members, person(uint64(r+1), int64(r)))
	}
	return NewAgreement(Rules{Timeout: timeout}, v, self, &plane{row: make([]uint64, n)})
}

// sent returns the letters that a has to send, as "receiver kind".
func sent(a *Agreement) (list []string) {
	for _, p := range a.Take() {
		list = append(list, fmt.Sprint(p.To, " ", p.Kind))
	}
	return list
}

func suspicion(why Reason, ranks ...int) Letter {
	l := Letter{Kind: Suspect}
	for _, r := range ranks {
		l.Suspicions = append(l.Suspicions, Departure{r, why})
	}
	return l
}

// TestWhatIsForgiven: what others said, and only by one who is blocked.
func TestWhatIsForgiven(t *testing.T) {
	t.Parallel()
	a := alone(4, 5)
	a.Receive(0, 3, suspicion(Silent, 1, 2))
	a.Forgive(0, 0b00110)
	if a.Blocked() || a.Suspected(1) == 0 {
		t.Fatalf("it forgives, or is blocked: %v", a)
	}
	a.Suspect(0, 1, Crashed)
	a.Receive(0, 3, suspicion(Silent, 0, 1))
	if a.Suspected(1) != Crashed {
		t.Errorf("it trusts others more than itself: %v", a)
	}
	if a.Forgive(0, 0b01010); !a.Blocked() || a.Suspected(1) == 0 {
		t.Errorf("it forgives what it has seen itself: %v", a)
	}
	a.Take()
	if a.Forgive(0, 0b00011); a.Blocked() || a.Suspected(0) != 0 || a.Suspected(1) == 0 || a.Suspected(2) == 0 {
		t.Errorf("it forgives others than those it reaches and has only heard about: %v", a)
	}
	a.Suspect(0, 3, Crashed)
	if a.Take(); !a.Blocked() {
		t.Fatalf("not blocked: %v", a)
	}
	if a.Forgive(0, 0b00001); len(a.Take()) > 0 || a.hearsay != 0b00100 {
		t.Error("it forgives what it has forgiven")
	}
}

// TestWhoHasStoppedGoesOn: a member that was blocked, and has forgiven everybody,
// leads to a next view, since its data plane stands still for good.
func TestWhoHasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	a := alone(0, 5)
	a.Receive(0, 4, suspicion(Silent, 1, 2, 3))
	if !a.Blocked() || a.promised != 0 {
		t.Fatalf("not blocked, or it has led: %v", a)
	}
	a.Take()
	a.Forgive(0, 0b01110)
	if got := sent(a); !slices.Equal(got, []string{"1 Prepare", "2 Prepare", "3 Prepare", "4 Prepare"}) {
		t.Errorf("it sends %v", got)
	}
}

// TestTheLeaderHearsThatOneHasStopped, though that one suspects nobody any more.
func TestTheLeaderHearsThatOneHasStopped(t *testing.T) {
	t.Parallel()
	a := alone(0, 2)
	if a.Receive(0, 1, Letter{Kind: Suspect}); !slices.Equal(sent(a), []string{"1 Prepare"}) {
		t.Errorf("it does not end the view: %v", a)
	}
}

// TestWhoIsBackIsToldAndAsked what is suspected, or what the view is, if there is
// reason to.
func TestWhoIsBackIsToldAndAsked(t *testing.T) {
	t.Parallel()
	a := alone(2, 3)
	if a.Reachable(0, 0); len(a.Take()) > 0 {
		t.Error("it is told something where nothing has happened")
	}
	a.Suspect(0, 1, Crashed)
	a.Take()
	if a.Reachable(0, 0); !slices.Equal(sent(a), []string{"0 Suspect"}) || a.data.Frozen() {
		t.Error("it is not told of the suspicion")
	}
	a = alone(1, 2)
	a.Suspect(0, 0, Crashed)
	a.Take()
	if a.Reachable(0, 0); !slices.Equal(sent(a), []string{"0 Suspect"}) || a.Suspected(0) != 0 {
		t.Error("it is not asked what the view is")
	}
}

// TestASuspectDoesNotLead, for who suspects it.
func TestASuspectDoesNotLead(t *testing.T) {
	t.Parallel()
	a := alone(2, 3)
	a.Suspect(0, 0, Silent)
	a.Take()
	if a.Receive(0, 0, Letter{Kind: Prepare, Ballot: makeBallot(1, 0)}); a.promised != 0 || len(a.Take()) > 0 {
		t.Errorf("it has promised: %v", a)
	}
}

// TestAPromiseEndsTheOwnAttempt, and comes too late after the proposal.
func TestAPromiseEndsTheOwnAttempt(t *testing.T) {
	t.Parallel()
	a := alone(0, 3)
	a.Suspect(0, 2, Silent)
	a.Receive(0, 1, Letter{Kind: Promise, Ballot: makeBallot(1, 0), Row: make([]uint64, 3)})
	a.Receive(0, 2, Letter{Kind: Promise, Ballot: makeBallot(1, 0), Row: []uint64{0, 0, 5}})
	if a.lead.proposal == nil || a.lead.promises[2] != nil {
		t.Errorf("it counts who was not asked for the proposal: %v", a)
	}
	if a.Receive(0, 1, Letter{Kind: Prepare, Ballot: makeBallot(2, 1)}); a.lead == nil || a.lead.ballot.round() != 3 {
		t.Errorf("it goes on with the attempt: %v", a)
	}
}

// TestAskedTwice a member still accepts, and accepts again.
func TestAskedTwice(t *testing.T) {
	t.Parallel()
	_, w := newSearch(begin{rows: rowsOf3}, 0, 0)
	x := w.nodes[2]
	b := makeBallot(1, 0)
	next := x.a.view
	next.Num++
	propose := Letter{Kind: Propose, Ballot: b, Proposal: Proposal{Next: next, Cut: []uint64{2, 1, 1}}, Holders: make([]uint8, 3)}
	for _, l := range []Letter{{Kind: Prepare, Ballot: b}, propose, {Kind: Prepare, Ballot: b}} {
		x.a.Receive(0, 0, l)
	}
	x.d.row = []uint64{2, 1, 1}
	x.a.Take()
	if x.a.Step(0); !slices.Equal(sent(x.a), []string{"0 Accepted"}) {
		t.Errorf("it has not accepted: %v", x.a)
	}
	if x.a.Receive(0, 0, propose); !slices.Equal(sent(x.a), []string{"0 Accepted"}) {
		t.Errorf("it has not accepted again: %v", x.a)
	}
}

// TestADecisionStays, whatever comes later.
func TestADecisionStays(t *testing.T) {
	t.Parallel()
	a := alone(1, 3)
	next := a.view
	next.Num++
	l := Letter{Kind: Install, Proposal: Proposal{Next: next, Cut: make([]uint64, 3)}, Holders: make([]uint8, 3)}
	a.Learn(0, l)
	l.Proposal.Cut = []uint64{9, 9, 9}
	a.Learn(0, l)
	a.Receive(0, 0, l)
	if p, ok := a.Decided(); !ok || p.Cut[0] != 0 {
		t.Errorf("decided %v: %v", ok, p)
	}
	a = alone(1, 3)
	if l.Proposal.Cut = nil; a.Over() {
		t.Fatal("decided")
	}
	if a.Learn(0, l); a.Over() {
		t.Error("it takes what cannot follow its view")
	}
}

// TestADecisionKeepsItsCut: where one is enough there may be another proposal for the same
// view, and who has been told of one decision must not deliver the cut of the other.
func TestADecisionKeepsItsCut(t *testing.T) {
	t.Parallel()
	a := alone(1, 3)
	a.rules.Lone = true
	d := a.data.(*plane)
	d.row = []uint64{4, 4, 4}
	l := Letter{Kind: Propose, Ballot: makeBallot(1, 2), Proposal: Proposal{Next: a.view, Cut: []uint64{4, 4, 4}}, Holders: []uint8{2, 2, 2}}
	l.Proposal.Next.Num++
	a.Receive(0, 2, l)
	l.Kind = Install
	a.Receive(0, 2, l)
	l.Kind, l.Ballot, l.Holders = Propose, makeBallot(9, 0), []uint8{0, 0, 0}
	l.Proposal.Cut = []uint64{9, 0, 0}
	a.Receive(0, 0, l)
	if want := []uint64{4, 4, 4}; !a.Over() || !slices.Equal(d.cut, want) {
		t.Errorf("it fetches %v after %v has been decided", d.cut, want)
	}
}

// lone is a member where one is enough, with nothing in its view.
func lone(self, n int) *Agreement {
	a := alone(self, n)
	a.rules.Lone = true
	return a
}

// proposal is of a next view of these ranks.
func (a *Agreement) proposal(cut []uint64, ranks ...int) Letter {
	v := View{Ring: a.view.Ring, Num: a.view.Num + 1}
	for _, r := range ranks {
		v.Members = append(v.Members, a.view.Members[r])
	}
	return Letter{Proposal: Proposal{Next: v, Cut: cut}, Holders: make([]uint8, a.n)}
}

// TestTheLastAcceptedCounts: where one is enough, one who has left may decide what those
// who go on have given up since.
func TestTheLastAcceptedCounts(t *testing.T) {
	t.Parallel()
	a := lone(1, 3)
	a.data.(*plane).row = []uint64{0, 0, 1}
	given, last := a.proposal([]uint64{0, 0, 1}, 0, 1), a.proposal([]uint64{0, 0, 0}, 0, 1)
	for i, l := range []*Letter{&given, &last} {
		l.Kind, l.Ballot = Propose, makeBallot(uint64(i+1), 0)
		a.Receive(0, 0, *l)
		l.Kind = Install
	}
	if a.Receive(0, 2, given); a.Over() {
		t.Error("it ends with what is not the last that it has accepted")
	}
	if a.Receive(0, 0, last); !a.Over() {
		t.Error("it does not end with the last that it has accepted")
	}
}

// TestWhoLeavesDecidesForItself only, where one is enough and nobody else is there: what it
// has accepted may have become of the others, with another cut.
func TestWhoLeavesDecidesForItself(t *testing.T) {
	t.Parallel()
	a := lone(2, 3)
	a.Leave(2)
	l := a.proposal([]uint64{0, 0, 0}, 0, 1)
	l.Kind, l.Ballot = Propose, makeBallot(1, 0)
	a.Receive(0, 0, l)
	a.Suspect(0, 0, Crashed)
	a.Suspect(0, 1, Crashed)
	if p, ok := a.Decided(); !ok || len(p.Next.Members) != 0 {
		t.Errorf("decided %v: %+v", ok, p)
	}
	if _, why := a.Gone(); why != Left {
		t.Errorf("it is gone as %q", why)
	}
}

// TestWhoHasNotAcceptedDoesNotGoOn, where one is enough: it may end with something else.
func TestWhoHasNotAcceptedDoesNotGoOn(t *testing.T) {
	t.Parallel()
	a := lone(0, 2)
	a.Join(person(9, 9))
	a.Step(0)
	a.Receive(0, 1, Letter{Kind: Promise, Ballot: a.lead.ballot, Row: []uint64{0, 0}})
	if a.Suspect(0, 1, Crashed); !a.Over() {
		t.Fatal("not decided")
	}
	if p, _ := a.Decided(); p.Next.Rank(2) >= 0 || p.Next.Rank(1) < 0 || p.Next.Rank(9) < 0 {
		t.Errorf("next %+v", p.Next.Members)
	}
}

// TestBallotsEnd: after the last one there is none to lead with.
func TestBallotsEnd(t *testing.T) {
	t.Parallel()
	_, w := newSearch(begin{rows: rowsOf3}, 0, 0)
	a := w.nodes[0].a
	a.promised = makeBallot(1<<56-1, 2)
	a.Leave(1)
	a.Step(0)
	if posts := a.Take(); a.lead != nil || len(posts) > 0 || a.Due() != Never {
		t.Errorf("it leads: %v, sends %v, and is due at %d", a.lead != nil, posts, a.Due())
	}
}

// TestALeaderThatCannotFetchAsksAnew: nobody else is to blame.
func TestALeaderThatCannotFetchAsksAnew(t *testing.T) {
	y := tell(t, rowsOf2, joinAt0)
	y.brings(0, 1, Prepare)
	y.brings(1, 0, Promise)
	y.brings(0, 1, Propose)
	y.do('f', 1, 1)
	y.brings(1, 0, Accepted)
	a := y.w.nodes[0].a
	if a.Over() || a.lead.accepts != 0b10 {
		t.Fatalf("it has accepted, or the other has not: %v", a)
	}
	if a.Step(a.Due()); a.lead == nil || a.lead.ballot.round() != 2 || a.Suspected(1) != 0 {
		t.Errorf("it has not begun anew: %v", a)
	}
}

func TestQuorum(t *testing.T) {
	for _, c := range []struct {
		n     int
		lone  bool
		ranks uint64
		want  bool
	}{
		{1, false, 0b1, true}, {1, false, 0, false},
		{2, false, 0b01, true}, {2, false, 0b10, false}, {2, false, 0b11, true},
		{3, false, 0b001, false}, {3, false, 0b110, true},
		{4, false, 0b0011, true}, {4, false, 0b1001, true}, {4, false, 0b0110, false}, {4, false, 0b1110, true},
		{5, false, 0b00011, false}, {5, false, 0b11100, true},
		{5, true, 0b10000, true}, {5, true, 0, false},
	} {
		v := View{Members: make([]Member, c.n)}
		if got := NewAgreement(Rules{Lone: c.lone}, v, 0, &plane{}).Quorum(c.ranks); got != c.want {
			t.Errorf("%0*b of %d, lone %v: %v", c.n, c.ranks, c.n, c.lone, got)
		}
	}
}

// TestQuorumsMeet: any two do, and each meets every majority.
func TestQuorumsMeet(t *testing.T) {
	for n := 1; n <= 7; n++ {
		v := View{Members: make([]Member, n)}
		a := NewAgreement(Rules{}, v, 0, &plane{})
		for p := range uint64(1) << n {
			for q := range uint64(1) << n {
				if a.Quorum(p) && (a.Quorum(q) || count(q) >= v.Majority()) && p&q == 0 {
					t.Fatalf("%0*b and %0*b do not meet", n, p, n, q)
				}
			}
		}
	}
}

// TestImpossibleLettersAreDropped: their vectors are not those of the view, or they
// speak for another.
func TestImpossibleLettersAreDropped(t *testing.T) {
	s, w := newSearch(begin{rows: rowsOf3, ask: joinAt0}, 0, 0)
	next := View{Ring: s.view.Ring, Num: s.view.Num + 1, Members: s.view.Members}
	sound := Proposal{Next: next, Cut: []uint64{2, 1, 1}}
	with := func(change func(p *Proposal)) Proposal {
		p := sound
		change(&p)
		return p
	}
	holders := make([]uint8, 3)
	own := w.nodes[0].a.lead.ballot
	for name, l := range map[string]Letter{
		"suspicion of no rank":     {Kind: Suspect, Suspicions: []Departure{{3, Crashed}}},
		"a round near the last":    {Kind: Reject, Ballot: makeBallot(maxRound+1, 0)},
		"prepare of no rank":       {Kind: Prepare, Ballot: makeBallot(9, 3)},
		"prepare for another":      {Kind: Prepare, Ballot: makeBallot(1, 2)},
		"propose for another":      {Kind: Propose, Ballot: makeBallot(1, 2), Proposal: sound, Holders: holders},
		"short row":                {Kind: Promise, Ballot: own, Row: []uint64{1, 1}},
		"long row":                 {Kind: Promise, Ballot: own, Row: make([]uint64, 4)},
		"accepted another view":    {Kind: Promise, Ballot: own, Row: make([]uint64, 3), Accepted: 1, Proposal: with(func(p *Proposal) { p.Next.Num++ })},
		"another ballot's promise": {Kind: Promise, Ballot: own - 1, Row: make([]uint64, 3)},
		"accepted unasked":         {Kind: Accepted, Ballot: own},
		"short cut":                {Kind: Install, Proposal: with(func(p *Proposal) { p.Cut = p.Cut[:2] }), Holders: holders},
		"another view":             {Kind: Install, Proposal: with(func(p *Proposal) { p.Next.Num++ }), Holders: holders},
		"another ring":             {Kind: Install, Proposal: with(func(p *Proposal) { p.Next.Ring++ }), Holders: holders},
		"no rank is gone":          {Kind: Install, Proposal: with(func(p *Proposal) { p.Gone = []Departure{{3, Crashed}} }), Holders: holders},
		"few holders":              {Kind: Install, Proposal: sound, Holders: holders[:2]},
		"no rank holds":            {Kind: Install, Proposal: sound, Holders: []uint8{0, 3, 0}},
	} {
		x := w.nodes[0].clone()
		x.a.highest = makeBallot(2, 2) // seen already, so that it tells nothing new
		before := s.hashNode(x)
		x.a.Receive(0, 1, l)
		if s.hashNode(x) != before || len(x.a.Take()) > 0 {
			t.Errorf("%s: taken: %+v", name, x.a)
		}
	}
	x := w.nodes[0].clone()
	if x.a.Receive(0, 1, Letter{Kind: Install, Proposal: sound, Holders: holders}); !x.a.Over() {
		t.Error("a sound letter is dropped as well")
	}
}

// TestAnyLetterIsSurvived: whatever members write, none panics or answers nobody.
func TestAnyLetterIsSurvived(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, w := newSearch(begin{rows: rowsOf3, ask: joinAt0}, 0, 0)
		x := w.nodes[rapid.IntRange(0, 2).Draw(t, "self")]
		for i := range 20 {
			kind := LetterKind(rapid.IntRange(int(Suspect), int(Install)).Draw(t, "kind"))
			l := letterOf(kind).Draw(t, "letter")
			fit(t, &l)
			x.a.Receive(int64(i)*timeout, rapid.IntRange(0, 2).Draw(t, "from"), l)
			for _, p := range x.a.Take() {
				if p.To < 0 || p.To > 2 || p.To == x.a.self {
					t.Fatalf("a letter to %d", p.To)
				}
			}
			_ = x.a.String()
		}
	})
}

// fit makes l look like a letter of the view, mostly: else all would be dropped.
func fit(t *rapid.T, l *Letter) {
	if rapid.IntRange(0, 7).Draw(t, "unfit") == 0 {
		return
	}
	vector := rapid.SliceOfN(rapid.Uint64Max(3), 3, 3)
	l.Ballot = makeBallot(rapid.Uint64Max(5).Draw(t, "round"), rapid.IntRange(0, 2).Draw(t, "rank"))
	l.Row, l.Proposal.Cut = vector.Draw(t, "row"), vector.Draw(t, "cut")
	l.Proposal.Next.Ring, l.Proposal.Next.Num, l.Proposal.Gone = 7, 4, nil
	l.Holders = rapid.SliceOfN(rapid.ByteMax(2), 3, 3).Draw(t, "holders")
	l.Suspicions = slices.DeleteFunc(l.Suspicions, func(d Departure) bool { return d.Rank > 2 })
}

func TestAgreementTellsWhereItStands(t *testing.T) {
	_, w := newSearch(begin{rows: rowsOf3, ask: joinAt0}, 0, 0)
	if got := w.nodes[0].a.String(); !strings.Contains(got, "view 3: promised 1.0") {
		t.Errorf("%q", got)
	}
}
