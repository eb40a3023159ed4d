// Package course takes the open members of a bench through a row, phase by phase, and
// holds what they delivered against what the row's level promises.
package course

import (
	"context"
	"fmt"
	"time"

	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
)

// How long members may take to answer. A member that waits for messages gives up
// by itself when none come, so that limit is only for one that hangs.
const (
	openLimit   = 30 * time.Second
	stepLimit   = 10 * time.Second
	sendLimit   = 30 * time.Second // beyond the phase's duration
	finishLimit = 2 * time.Minute
)

// heatTime is how long each size is sent before the first row, at most.
const heatTime = 500 * time.Millisecond

// Watch hears what the members measured of each phase, warm-up included, before the
// next one begins.
type Watch func(*Figures)

// Ring is a fleet whose members have opened what they measure.
type Ring struct {
	Promises Promises // of levels that are other systems; nil: there are none
	Hosts    []string // that the members are on, by rank, if not all on this one
	Watch    Watch    // told of each phase; nil: nobody

	fleet   *fleet.Fleet
	members []result.Member
	addrs   []string // by rank, of the raw sockets; nil: multicast
	rows    uint16
}

// Open opens all members at once, since they form a view together, and puts them into
// the order of their ranks. Index and Members of o are set here. The members must
// not have been asked anything yet.
func Open(ctx context.Context, f *fleet.Fleet, o member.Open) (*Ring, error) {
	replies, err := f.Each(ctx, f.Len(), openLimit, func(i int) member.Request {
		mine := o
		mine.Index, mine.Members = i, f.Len()
		return member.Request{Op: member.OpOpen, Open: &mine}
	})
	if err != nil {
		return nil, err
	}
	ranks := make([]int, len(replies))
	ring := &Ring{fleet: f, members: make([]result.Member, len(replies))}
	if o.Fanout {
		ring.addrs = make([]string, len(replies))
	}
	for i, a := range replies {
		if a.Opened == nil {
			return nil, fmt.Errorf("member %d opened nothing", i)
		}
		if ranks[i] = a.Opened.Rank; ranks[i] < 0 {
			ranks[i] = i // no engine, no view
		}
		if ranks[i] >= len(replies) {
			continue // Order says so
		}
		ring.members[ranks[i]] = result.Member{Rank: ranks[i], PID: a.Opened.PID, Engine: a.Opened.Engine, Raw: a.Opened.Raw}
		if ring.addrs != nil {
			ring.addrs[ranks[i]] = a.Opened.Addr
		}
	}
	return ring, f.Order(ranks)
}

// Members returns the processes by rank.
func (r *Ring) Members() []result.Member { return r.members }

// Next returns the course of another row: one level, messages of size bytes, sent by
// so many members.
func (r *Ring) Next(level string, size, senders int) *Course {
	r.rows++
	c := &Course{
		ring: r,
		Spec: member.Row{Number: r.rows, Level: level, Promise: r.Promises[level], Size: size, Members: r.fleet.Len(), Senders: senders,
			Timing: member.TimingOf(level, r.Hosts != nil)},
		sent: make([]uint64, r.fleet.Len()),
	}
	if level == member.Raw {
		c.Spec.Addrs = r.addrs
	}
	return c
}

// Heat has all members send each size at full speed for up to d, unmeasured: until their
// memory has grown to what they need, the first rows would be charged for it.
func (r *Ring) Heat(ctx context.Context, levels []string, sizes []int, d time.Duration) error {
	for _, level := range r.Promises.heated(levels) {
		for _, size := range sizes {
			c := r.Next(level, size, r.fleet.Len())
			if err := c.Warm(ctx, min(d, heatTime)); err != nil {
				return fmt.Errorf("%v, before the first row: %w", c, err)
			}
		}
	}
	return nil
}

// Join has all members join groups until they are in so many or the limit has passed.
// It returns in how many all are, the one that they were opened with included, and
// how long the slowest took.
func (r *Ring) Join(ctx context.Context, groups int, limit time.Duration) (n int, took time.Duration, err error) {
	replies, err := r.fleet.Each(ctx, r.fleet.Len(), limit+stepLimit, func(int) member.Request {
		return member.Request{Op: member.OpJoin, Join: &member.Join{Groups: groups, Limit: limit}}
	})
	if err != nil {
		return 0, 0, err
	}
	for i, a := range replies {
		if a.Joined == nil {
			return 0, 0, fmt.Errorf("member %d joined nothing", i)
		}
		if n == 0 || a.Joined.Groups < n {
			n = a.Joined.Groups
		}
		took = max(took, a.Joined.Took)
	}
	return n, took, nil
}

// Health asks all members what they hold, by rank.
func (r *Ring) Health(ctx context.Context) ([]member.Health, error) {
	replies, err := r.fleet.Each(ctx, r.fleet.Len(), stepLimit, func(int) member.Request { return member.Request{Op: member.OpHealth} })
	if err != nil {
		return nil, err
	}
	all := make([]member.Health, len(replies))
	for i, a := range replies {
		if a.Health == nil {
			return nil, fmt.Errorf("member %d did not tell its health", i)
		}
		all[i] = *a.Health
	}
	return all, nil
}
