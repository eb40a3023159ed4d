package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"cohort/internal/bench/clock"
)

// Faults, by name, in the order in which they are measured if nothing else is said.
const (
	KillLeader      = "kill-leader"       // SIGKILL of the oldest member
	KillMember      = "kill-member"       // SIGKILL of another one
	KillTokenHolder = "kill-token-holder" // SIGKILL of who holds the ordering token
	SilentHost      = "silent-host"       // a member stands still (SIGSTOP) or its cable is pulled
	Join            = "join"              // one more member, which must be given the group's state
	Partition       = "partition"         // a member's cable is pulled, and later plugged in again
)

// Faults lists the names.
func Faults() []string {
	return []string{KillLeader, KillMember, KillTokenHolder, SilentHost, Join, Partition}
}

// Impossible says why a fault cannot be had on a network; "" if it can.
func Impossible(fault string, cables bool) string {
	switch {
	case cables:
		return ""
	case fault == Partition:
		return "on loopback members have no link that could be cut; --network netns has"
	case fault == SilentHost && !canStop:
		return "this system cannot stop a process and have it go on"
	}
	return ""
}

// episode is a fault under way.
type episode struct {
	at    int64    // when it was done, ns of package clock
	hit   *subject // to whom, or by whom for a join
	size  int      // members of the view that follows
	ended int64    // when it was undone
}

// inflict does the k-th fault to the ring. Who is hit is in the ring no more, or
// not counted, until mend.
func (r *ring) inflict(ctx context.Context, fault string, k int) (e episode, err error) {
	n := len(r.members)
	e.size = n - 1
	switch fault {
	case KillLeader:
		e.hit = r.members[0]
		e.at, err = clock.Now(), e.hit.process.Signal(os.Kill)
	case KillMember:
		e.hit = r.members[1+k%(n-1)]
		e.at, err = clock.Now(), e.hit.process.Signal(os.Kill)
	case KillTokenHolder:
		e.hit = r.members[k%n] // that is, when it holds the token
		var a Reply
		a, err = r.askOne(ctx, e.hit, Request{Op: OpDie})
		e.at = a.At
	case SilentHost, Partition:
		e.hit = r.members[k%n]
		e.at, err = clock.Now(), r.silence(e.hit, fault)
	case Join:
		e.size = n + 1
		e.hit = r.spare
		var a Reply
		a, err = r.askOne(ctx, e.hit, r.openRequest(e.hit))
		e.at = a.At
	}
	if err != nil {
		return e, fmt.Errorf("%s: %w", fault, err)
	}
	if fault != Join {
		r.members = slices.DeleteFunc(r.members, func(s *subject) bool { return s == e.hit })
	}
	return e, nil
}

// silence keeps a member from being heard.
func (r *ring) silence(s *subject, fault string) error {
	if r.plan.Net.Plug != nil {
		return r.plan.Net.Plug(s.host, false)
	}
	return s.process.Signal(sigStop)
}

// mend undoes the fault: the ring has as many members as before afterwards, of which
// the one that was hit, or that takes its place, is the youngest.
func (r *ring) mend(ctx context.Context, fault string, e *episode) (err error) {
	since := clock.Now()
	e.ended = since
	back := e.hit
	switch {
	case fault == Join:
		err = e.hit.process.Close() // it leaves
		return errors.Join(err, r.awaitAll(ctx, r.members, len(r.members), since))
	case (fault == SilentHost || fault == Partition) && r.plan.Net.Plug != nil:
		// The kernel takes its time, up to a second, to put a link into operation.
		err = r.plan.Net.Plug(e.hit.host, true)
		e.ended = clock.Now()
	case fault == SilentHost:
		if err = e.hit.process.Signal(sigGoOn); err != nil {
			err = fmt.Errorf("%s: %w", e.hit.name, err)
		}
	default:
		_ = e.hit.process.Close() // it has ended: let go of what is left
		if back, err = r.start(e.hit.host); err == nil {
			_, err = r.askOne(ctx, back, r.openRequest(back))
		}
	}
	if err != nil {
		return err
	}
	r.members = append(r.members, back)
	return r.awaitAll(ctx, r.members, len(r.members), since)
}
