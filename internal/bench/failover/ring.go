package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cohort/internal/bench/fleet"

	"golang.org/x/sync/errgroup"
)

// subject is one member: a process.
type subject struct {
	name    string
	timeout time.Duration // engine.Config.Timeout
	host    int           // where it is
	process *fleet.Process
}

// ask sends a request and waits for the answer.
func (s *subject) ask(ctx context.Context, q Request) (Reply, error) {
	limit := q.limit(s.timeout)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var a Reply
	err := s.process.Call(ctx, string(q.Op), q, &a)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w to %q within %v", fleet.ErrSilent, q.Op, limit)
	case err == nil && a.Error != "":
		err = fmt.Errorf("%s: %s", q.Op, a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("%s: %w", s.name, err)
	}
	return a, nil
}

// askAll asks several members at once, and returns their answers or the first error: the
// others are then not waited for. That a member of the ring is lost which no fault is done to
// is such an error: the views that the others wait for may never come.
func (r *ring) askAll(ctx context.Context, who []*subject, q func(*subject) Request) ([]Reply, error) {
	replies := make([]Reply, len(who))
	all, ctx := errgroup.WithContext(ctx)
	var asked sync.WaitGroup
	answered := make(chan struct{})
	for i, s := range who {
		asked.Add(1)
		all.Go(func() (err error) {
			defer asked.Done()
			replies[i], err = s.ask(ctx, q(s))
			return err
		})
	}
	all.Go(func() error { return r.keepWatch(ctx, who, answered) })
	asked.Wait()
	close(answered)
	return replies, all.Wait()
}

// lookEvery is how often members are looked at while some are asked: by then most faults are
// over, and have not been disturbed.
const lookEvery = 100 * time.Millisecond

// keepWatch returns an error as soon as a member is lost that is asked or in the ring, and nil
// when all have answered.
func (r *ring) keepWatch(ctx context.Context, asked []*subject, answered <-chan struct{}) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-answered:
			return nil
		case <-ctx.Done():
			return nil // of which others tell
		case <-look.C:
		}
		for _, s := range append(slices.Clone(r.members), asked...) {
			if err := s.lost(slices.Contains(asked, s)); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
}

// lost says what keeps a member from taking part. Of one that is asked the answer tells whether it
// has ended: it may be meant to.
func (s *subject) lost(asked bool) error {
	if s.process.Stopped() {
		return fleet.ErrStopped
	}
	select {
	case <-s.process.Ended():
		if !asked {
			return s.process.Ending("while others were asked")
		}
	default:
	}
	return nil
}

// askOne is askAll for a single member.
func (r *ring) askOne(ctx context.Context, s *subject, q Request) (Reply, error) {
	replies, err := r.askAll(ctx, []*subject{s}, same(q))
	return replies[0], err
}

func same(q Request) func(*subject) Request { return func(*subject) Request { return q } }

// ring is the members that one kind of fault is done to.
type ring struct {
	plan    *Plan
	cluster string
	names   int        // given so far
	members []*subject // by rank, without those that were hit
	spare   *subject   // started, and not in the ring yet
	all     []*subject // that were ever started
}

// form starts the members and has them form a ring.
func (r *ring) form(ctx context.Context) error {
	for host := range r.plan.Members {
		s, err := r.start(host)
		if err != nil {
			return err
		}
		r.members = append(r.members, s)
	}
	if _, err := r.askAll(ctx, r.members, r.openRequest); err != nil {
		return err
	}
	if err := r.awaitAll(ctx, r.members, r.plan.Members, 0); err != nil {
		return err
	}
	return r.settle(ctx)
}

// start starts one more process on a host.
func (r *ring) start(host int) (*subject, error) {
	name := fmt.Sprintf("%s %d", r.plan.Name, r.names)
	r.names++
	p, err := r.plan.Net.Start(host, name)
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, timeout: r.plan.Timeout, host: host, process: p}
	r.all = append(r.all, s)
	return s, nil
}

func (r *ring) openRequest(s *subject) Request {
	p := r.plan
	return Request{Op: OpOpen, Open: &Open{
		Name: s.name, Members: p.Members, Cluster: r.cluster, Interface: p.Net.Interface, Timeout: p.Timeout,
		Every: time.Duration(float64(time.Second) / p.Rate), Size: p.Size, State: p.State,
	}}
}

// awaitAll waits until members have had a view of so many since a time.
func (r *ring) awaitAll(ctx context.Context, who []*subject, size int, since int64) error {
	_, err := r.askAll(ctx, who, same(Request{Op: OpAwait, Size: size, Since: since}))
	return err
}

// Waiting until all have delivered the same.
const (
	settleLimit = 10 * time.Second
	settleEvery = 5 * time.Millisecond
)

// settle waits until all members have delivered all that all have sent, and
// returns an error if they have not delivered the same in the same order. It puts
// the members into the order of their ranks.
func (r *ring) settle(ctx context.Context) error {
	for start := time.Now(); ; {
		replies, err := r.askAll(ctx, r.members, same(Request{Op: OpTally}))
		if err != nil {
			return err
		}
		missing := r.missing(replies)
		switch {
		case missing == nil:
			return errors.Join(r.compare(replies), r.order(replies))
		case time.Since(start) > settleLimit:
			return fmt.Errorf("after %v without a new message: %w", settleLimit, missing)
		}
		if err := pause(ctx, settleEvery); err != nil {
			return err
		}
	}
}

// missing returns an error that names messages that a member has yet to deliver.
func (r *ring) missing(tallies []Reply) error {
	for i, a := range tallies {
		for j, b := range tallies {
			if sent, has := b.Tally.Sent, a.Tally.Last[r.members[j].name]; sent > 0 && has != sent {
				return fmt.Errorf("%s has delivered message %d of %s last, which has sent %d", r.members[i].name, has, r.members[j].name, sent)
			}
		}
	}
	return nil
}

// compare returns an error if members have delivered different messages, or in
// different orders.
func (r *ring) compare(tallies []Reply) error {
	a := tallies[0].Tally
	for i, b := range tallies[1:] {
		if a.Count != b.Tally.Count || a.Hash != b.Tally.Hash || !maps.Equal(a.Last, b.Tally.Last) {
			return fmt.Errorf("order breached: %s has delivered %d messages with the digest %x, %s %d with %x",
				r.members[0].name, a.Count, a.Hash, r.members[i+1].name, b.Tally.Count, b.Tally.Hash)
		}
	}
	return nil
}

// order puts the members into the order of their ranks.
func (r *ring) order(tallies []Reply) error {
	ordered := make([]*subject, len(r.members))
	for i, a := range tallies {
		rank := a.Tally.Rank
		if rank < 0 || rank >= len(ordered) || ordered[rank] != nil {
			return fmt.Errorf("%s reports the rank %d of %d members, which is not its own", r.members[i].name, rank, len(ordered))
		}
		ordered[rank] = r.members[i]
	}
	r.members = ordered
	return nil
}

// close ends all processes.
func (r *ring) close() error {
	errs := make([]error, len(r.all))
	var wg sync.WaitGroup
	for i, s := range r.all {
		wg.Go(func() { errs[i] = s.process.Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
