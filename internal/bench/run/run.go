// Package run takes a fleet of members through the rows of a bench, and holds
// what they delivered against what each level promises.
package run

import (
	"context"
	"fmt"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
)

// One message at a time on an idle group.
const (
	IdlePause    = 2 * time.Millisecond
	IdleMessages = 200
	idleSize     = 64 // bytes
)

// Plan is what to measure.
type Plan struct {
	Levels   []string
	Sizes    []int         // bytes
	Senders  []int         // how many members send
	Duration time.Duration // of a row: half of it at full speed, half at the load
	Load     float64       // messages per second, all senders together
	Network  string
	MTU      int         // bytes; 0: the interface's own
	Open     member.Open // Levels are set by the Runner
}

// WarmUp returns how long a row runs before it is measured.
func (p *Plan) WarmUp() time.Duration {
	return course.WarmUp(p.Duration)
}

// Steps returns how many rows there are, those of the idle group included.
func (p *Plan) Steps() int {
	return len(p.Levels)*len(p.Sizes)*len(p.Senders) + len(p.Levels)
}

// Observer hears of each row that is finished; text describes it for people.
type Observer func(done, steps int, text string)

// Runner takes one fleet through one plan.
type Runner struct {
	plan    Plan
	fleet   *fleet.Fleet
	ring    *course.Ring // once it is open
	observe Observer
	done    int
}

// New returns a Runner. The members must not have been asked anything yet.
func New(p Plan, f *fleet.Fleet, o Observer) *Runner {
	return &Runner{plan: p, fleet: f, observe: o}
}

// Run measures everything and returns the rows. An error that is a *course.Breach means that a level
// did not keep its promise; the result is nil with any error.
func (r *Runner) Run(ctx context.Context) (*result.Run, error) {
	res := &result.Run{Schema: result.Schema, Settings: r.settings()}
	var err error
	open := r.plan.Open
	open.Levels = r.plan.Levels
	if r.ring, err = course.Open(ctx, r.fleet, open); err != nil {
		return nil, err
	}
	res.Members = r.ring.Members()
	if err := r.ring.Heat(ctx, r.plan.Levels, r.plan.Sizes, r.plan.Duration); err != nil {
		return nil, err
	}
	for _, size := range r.plan.Sizes {
		for _, senders := range r.plan.Senders {
			// Levels that are compared run next to each other in time.
			for _, level := range r.plan.Levels {
				c := r.ring.Next(level, size, senders)
				row, err := r.row(ctx, c)
				if err != nil {
					return nil, fmt.Errorf("%v: %w", c, err)
				}
				res.Rows = append(res.Rows, row)
			}
		}
	}
	for _, level := range r.plan.Levels {
		idle, err := r.idle(ctx, r.ring.Next(level, idleSize, 1))
		if err != nil {
			return nil, fmt.Errorf("%s on an idle group: %w", level, err)
		}
		res.Idle = append(res.Idle, idle)
	}
	res.Ratios()
	return res, nil
}

func (r *Runner) settings() result.Settings {
	p := &r.plan
	return result.Settings{
		Levels: p.Levels, Sizes: p.Sizes, Members: r.fleet.Len(), Senders: p.Senders,
		DurationS: p.Duration.Seconds(), WarmUpS: p.WarmUp().Seconds(), LoadMsgsPerS: p.Load,
		Network: p.Network, Interface: p.Open.Interface, MTU: p.MTU, Loss: p.Open.Loss,
		IdlePauseS: IdlePause.Seconds(), IdleMessages: IdleMessages,
		LatencyCounts: "every member but the message's sender",
	}
}

func (r *Runner) finished(format string, args ...any) {
	r.done++
	if r.observe != nil {
		r.observe(r.done, r.plan.Steps(), fmt.Sprintf(format, args...))
	}
}

// row measures one row at full speed and then at the load.
func (r *Runner) row(ctx context.Context, c *course.Course) (row result.Row, err error) {
	full, err := c.Full(ctx, r.plan.WarmUp(), r.plan.Duration/2)
	if err != nil {
		return row, err
	}
	row = result.Row{Level: c.Spec.Level, SizeBytes: c.Spec.Size, Members: c.Spec.Members, Senders: c.Spec.Senders, Network: r.plan.Network}
	if row.Speed, err = full.Speed(c.Spec.Size); err != nil {
		return row, err
	}
	load := min(r.plan.Load, row.MsgsPerS/2)
	paced, err := c.Phase(ctx, c.Pace(load, r.plan.Duration/2))
	if err != nil {
		return row, err
	}
	row.LoadMsgsPerS = load
	if row.Latency, err = paced.Latency(); err != nil {
		return row, err
	}
	row.Drops = course.Drops(full, paced)
	if row.Verified, err = c.Verify(ctx); err != nil {
		return row, err
	}
	r.finished("%v: %s msgs/s, p50 %.1f µs", c, result.Count(row.MsgsPerS), row.P50Us)
	return row, nil
}

// idle measures one message at a time.
func (r *Runner) idle(ctx context.Context, c *course.Course) (idle result.Idle, err error) {
	c.Spec.Idle = true
	idle = result.Idle{Level: c.Spec.Level, SizeBytes: c.Spec.Size}
	if err = c.Begin(ctx); err != nil {
		return idle, err
	}
	lone, err := c.Phase(ctx, member.Phase{Kind: member.Lone, Every: IdlePause, Count: IdleMessages})
	if err != nil {
		return idle, err
	}
	if idle.Latency, err = lone.Latency(); err != nil {
		return idle, err
	}
	if idle.Verified, err = c.Verify(ctx); err != nil {
		return idle, err
	}
	r.finished("%s on an idle group: p50 %.1f µs", idle.Level, idle.P50Us)
	return idle, nil
}
