package run

import (
	"context"
	"fmt"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/member"
	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
)

// rows returns all rows in the order in which they are shown, without figures.
func (p *Plan) rows(members int) (rows []result.Row, idle []result.Idle) {
	for _, size := range p.Sizes {
		for _, senders := range p.Senders {
			for _, level := range p.Levels {
				rows = append(rows, result.Row{Level: level, SizeBytes: size, Members: members, Senders: senders, Network: p.Network, LatencyOf: p.timing(level)})
			}
		}
	}
	for _, level := range p.Levels {
		idle = append(idle, result.Idle{Level: level, SizeBytes: idleSize, LatencyOf: p.timing(level)})
	}
	return rows, idle
}

// timing says what latency of a level is.
func (p *Plan) timing(level string) string { return string(member.TimingOf(level, p.Hosts != nil)) }

// pass runs every row once, for the k-th time: what disturbs the machine for a while
// then disturbs one run of many rows and not all runs of one. Levels that are compared
// run next to each other in time, and each run begins with another one.
func (r *Runner) pass(ctx context.Context, k int, res *result.Run) error {
	levels := len(r.plan.Levels)
	for i := range res.Rows {
		block := i / levels * levels
		row := &res.Rows[block+(i+k)%levels]
		c := r.ring.Next(row.Level, row.SizeBytes, row.Senders)
		p, verified, err := r.row(ctx, c)
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		row.Runs, row.Verified = append(row.Runs, p), verified
		r.finished("%v%s: %s msgs/s, p50 %.1f µs", c, r.of(k), result.Count(p.MsgsPerS), p.P50Us)
	}
	for i := range res.Idle {
		idle := &res.Idle[(i+k)%levels]
		c := r.ring.Next(idle.Level, idle.SizeBytes, 1)
		p, verified, err := r.idle(ctx, c)
		if err != nil {
			return fmt.Errorf("%s on an idle group: %w", idle.Level, err)
		}
		idle.Runs, idle.Verified = append(idle.Runs, p), verified
		r.finished("%s on an idle group%s: p50 %.1f µs", idle.Level, r.of(k), p.P50Us)
	}
	return nil
}

// of names the k-th run for people, if there are several.
func (r *Runner) of(k int) string {
	if r.plan.runs() == 1 {
		return ""
	}
	return fmt.Sprintf(", run %d of %d", k+1, r.plan.runs())
}

// row measures one row once, at full speed and then at the load, and tells whether the
// order was checked.
func (r *Runner) row(ctx context.Context, c *course.Course) (p result.Pass, verified bool, err error) {
	p.StartS = time.Since(r.start).Seconds()
	mark := r.meter.Begin()
	full, err := c.Full(ctx, r.plan.WarmUp(), r.plan.each()/2)
	if err != nil {
		return p, false, err
	}
	if p.Speed, err = full.Speed(c.Spec.Size); err != nil {
		return p, false, err
	}
	p.LoadMsgsPerS = min(r.plan.Load, p.MsgsPerS/2)
	paced, err := c.Phase(ctx, c.Pace(p.LoadMsgsPerS, r.plan.each()/2))
	if err != nil {
		return p, false, err
	}
	if p.Latency, err = latency(paced); err != nil {
		return p, false, err
	}
	p.Processes, p.LoadProcesses = full.Processes(), paced.Processes()
	p.Drops = course.Drops(full, paced)
	verified, err = c.Verify(ctx)
	p.Span = r.meter.End(mark, c.Used().CPU())
	p.Noise = noise.Judge(p.Span)
	return p, verified, err
}

// idle measures one message at a time.
func (r *Runner) idle(ctx context.Context, c *course.Course) (p result.IdlePass, verified bool, err error) {
	c.Spec.Idle = true
	p.StartS = time.Since(r.start).Seconds()
	mark := r.meter.Begin()
	if err = c.Begin(ctx); err != nil {
		return p, false, err
	}
	count := (IdleMessages + r.plan.runs() - 1) / r.plan.runs()
	lone, err := c.Phase(ctx, member.Phase{Kind: member.Lone, Every: IdlePause, Count: count})
	if err != nil {
		return p, false, err
	}
	if p.Latency, err = latency(lone); err != nil {
		return p, false, err
	}
	p.Processes = lone.Processes()
	verified, err = c.Verify(ctx)
	p.Span = r.meter.End(mark, c.Used().CPU())
	p.Noise = noise.Judge(p.Span)
	return p, verified, err
}

// latency leaves the points of the distribution out: they are for all runs together.
func latency(f *course.Figures) (result.Latency, error) {
	l, err := f.Latency()
	l.Percentiles = nil
	return l, err
}
