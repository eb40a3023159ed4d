// Package vote has the members of a group decide on proposals: each votes, and a rule that
// the program gives makes one outcome of the votes, the same at all members, those that
// fail included. It is what Isis called consensus with a decision rule.
package vote

import (
	"context"
	"fmt"
	"math"

	"cohort/engine"
	"cohort/toolkit"
)

// Kept is how many outcomes are remembered: of the decisions made last.
const Kept = 1024

// workers is how many votes a member considers at a time.
const workers = 32

// Rule tells from the votes so far, of so many members, whether the proposal is decided,
// and accepted. It is a function of its arguments alone, and the same at all members. It
// is asked after each vote, in one order at all: what it has decided stands. Null is who
// has failed or left without a vote. What it leaves undecided in the end is refused.
type Rule func(yes, no, null, members int) (decided, accepted bool)

// Majority accepts what more than half of the members have voted for.
func Majority(yes, no, null, members int) (decided, accepted bool) {
	return AtLeast(members/2+1)(yes, no, null, members)
}

// All accepts what all members have voted for.
func All(yes, no, null, members int) (decided, accepted bool) {
	return AtLeast(members)(yes, no, null, members)
}

// AtLeast accepts what k members have voted for.
func AtLeast(k int) Rule {
	return func(yes, no, null, members int) (decided, accepted bool) {
		return yes >= k || members-no-null < k, yes >= k
	}
}

// Voter is how this member votes. It runs on a goroutine of its own and may take its
// time; ctx ends when its vote is not wanted any more. The proposal is borrowed.
type Voter func(ctx context.Context, key string, proposal []byte) (yes bool)

// Outcome is what became of a proposal. The votes are those by which it was decided.
type Outcome struct {
	Proposal      []byte
	Accepted      bool
	Yes, No, Null int
	Members       int // of the view that it was proposed in: those who were to vote
}

// Box is this node's part in a group that votes.
type Box struct {
	host  *toolkit.Host[*machine]
	voter Voter
	stop  context.CancelFunc
}

// Join makes the node a member of the named group, which decides by rule; it is to be the
// same at all members. Groups cost little: have one for each rule. Errors are those of
// engine.Node.Join.
func Join(ctx context.Context, node *engine.Node, name string, rule Rule, voter Voter) (*Box, error) {
	if rule == nil || voter == nil {
		return nil, fmt.Errorf("vote: %w: group %q: the rule or the voter is nil", engine.ErrConfig, name)
	}
	host, err := toolkit.Join(ctx, node, name, newMachine(rule))
	if err != nil {
		return nil, err
	}
	b := &Box{host: host, voter: voter}
	work, stop := context.WithCancel(context.Background())
	b.stop = stop
	go toolkit.Work(work, host, workers, (*machine).due, b.vote)
	return b, nil
}

func (b *Box) vote(ctx context.Context, q question) {
	yes := b.voter(ctx, q.key, q.proposal)
	b.host.Post(func(m *machine, out toolkit.Out) { m.cast(q, yes, out) }) // if it is lost, so is this member, and it counts as null
}

// Propose puts a proposal to the vote and returns the outcome. If the key, of up to 65535
// bytes, has been used and is remembered, that is the outcome of the first proposal that
// had it: so asking again is safe, for instance after engine.ErrExpelled. Errors are those
// of engine.Group.Send, and Await's.
func (b *Box) Propose(ctx context.Context, key string, proposal []byte) (Outcome, error) {
	if len(key) > math.MaxUint16 {
		return Outcome{}, fmt.Errorf("vote: %w: a key of %d bytes, want at most %d", engine.ErrTooLarge, len(key), math.MaxUint16)
	}
	w := &wait{key: key}
	defer b.host.Look(func(m *machine) { m.withdraw(w) })
	err := b.host.DoAwait(ctx, func(m *machine, out toolkit.Out) error {
		m.await(w)
		if known, _ := w.over(m); !known { // all may have forgotten the outcome when it comes, and would vote again
			m.propose(key, proposal, out)
		}
		return nil
	}, w.over)
	if err != nil {
		return Outcome{}, err
	}
	return w.outcome, nil
}

// Await returns the outcome of the proposal with this key, once it has been made and
// decided. Errors wrap ctx's, engine.ErrExpelled, ErrNotMember or ErrClosed.
func (b *Box) Await(ctx context.Context, key string) (Outcome, error) {
	w := &wait{key: key}
	b.host.Look(func(m *machine) { m.await(w) })
	defer b.host.Look(func(m *machine) { m.withdraw(w) })
	if err := b.host.Await(ctx, w.over); err != nil {
		return Outcome{}, err
	}
	return w.outcome, nil
}

// Leave leaves the group: this member's votes that are not cast count as null. See
// engine.Group.Leave.
func (b *Box) Leave(ctx context.Context) error {
	if err := b.host.Leave(ctx); err != nil {
		return err
	}
	b.stop()
	return nil
}

// Group returns the group that votes.
func (b *Box) Group() *engine.Group { return b.host.Group() }
