// Package fleet runs the members of a bench as processes of their own, asks all
// of them at once and names the one that does not answer.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cohort/internal/bench/member"
)

// Caller is one member to ask.
type Caller interface {
	// Ask sends a request and waits for the answer. An error says that there is
	// none or that it reports one.
	Ask(ctx context.Context, q member.Request) (member.Reply, error)
	// Name tells the member from others whatever its rank, for errors.
	Name() string
	// Close ends it. It may be called while Ask waits.
	Close() error
}

// ErrSilent says that a member did not answer in time.
var ErrSilent = errors.New("no answer")

// Fleet is the members, in the order of their ranks once Order was called.
type Fleet struct{ members []Caller }

// New returns a Fleet of these members.
func New(members []Caller) *Fleet { return &Fleet{members} }

// Len returns how many members there are.
func (f *Fleet) Len() int { return len(f.members) }

// Order puts the members into the order of their ranks. It returns an error if
// ranks is not a permutation of 0 to Len()-1.
func (f *Fleet) Order(ranks []int) error {
	ordered := make([]Caller, len(f.members))
	for i, r := range ranks {
		if r < 0 || r >= len(ordered) || ordered[r] != nil {
			return fmt.Errorf("members report the ranks %v: want each of 0 to %d once", ranks, len(ordered)-1)
		}
		ordered[r] = f.members[i]
	}
	if slices.Contains(ordered, nil) {
		return fmt.Errorf("%d members report the ranks %v", len(ordered), ranks)
	}
	f.members = ordered
	return nil
}

// One asks a single member.
func (f *Fleet) One(ctx context.Context, i int, limit time.Duration, q member.Request) (member.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := f.members[i].Ask(ctx, q)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w to %q within %v", ErrSilent, q.Op, limit)
	}
	if err != nil {
		return r, fmt.Errorf("member %d (%s): %w", i, f.members[i].Name(), err)
	}
	return r, nil
}

// Each asks the first n members at once and returns their answers in order, or
// the first error: the others are then not waited for.
func (f *Fleet) Each(ctx context.Context, n int, limit time.Duration, q func(i int) member.Request) ([]member.Reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies, errs := make([]member.Reply, n), make(chan error, n)
	for i := range n {
		go func() {
			var err error
			replies[i], err = f.One(ctx, i, limit, q(i))
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// Close ends all members and returns when they have ended.
func (f *Fleet) Close() error {
	errs := make([]error, len(f.members))
	var wg sync.WaitGroup
	for i, m := range f.members {
		wg.Go(func() { errs[i] = m.Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
