package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
// run next to each other in time.
func (r *Runner) pass(ctx context.Context, k int, res *result.Run) error {
	for block := range slices.Chunk(res.Rows, len(r.plan.Levels)) {
		if err := r.block(ctx, k, block); err != nil {
			return err
		}
	}
	return inTurns(len(res.Idle), k, func(i int) error {
		idle := &res.Idle[i]
		c := r.ring.Next(idle.Level, idle.SizeBytes, 1)
		p, verified, err := r.idle(ctx, c)
		if err != nil {
			return fmt.Errorf("%s on an idle group: %w", idle.Level, err)
		}
		idle.Runs, idle.Verified = append(idle.Runs, p), verified
		r.finished("%s on an idle group%s: p50 %.1f µs", idle.Level, r.of(k), p.P50Us)
		return nil
	})
}

// block runs rows that are alike but for their levels, all at full speed and then all at
// the load. Rates rise for the first 0.1 to 0.3 s of full load, and again after
// each rest, as threads are placed: floods go without a break.
func (r *Runner) block(ctx context.Context, k int, rows []result.Row) error {
	passes := make([]result.Pass, len(rows)) // a row has one only once it is whole, or nothing follows
	err := inTurns(len(rows), k, func(i int) error {
		return r.tried(ctx, &rows[i], &passes[i], r.flood)
	})
	if err != nil {
		r.keepFloods(k, rows, passes)
		return err
	}
	err = inTurns(len(rows), k, func(i int) error {
		row, p := &rows[i], &passes[i]
		if err := r.tried(ctx, row, p, r.load); err != nil {
			return err
		}
		if why := r.out[row]; why != nil {
			r.finished("left out: %v", why)
			return nil
		}
		row.Runs = append(row.Runs, *p)
		r.finished("%s, %s, %d sending%s: %s msgs/s, p50 %.1f µs", row.Level, result.Bytes(row.SizeBytes), row.Senders, r.of(k), result.Count(p.MsgsPerS), p.P50Us)
		return nil
	})
	if err != nil {
		r.keepFloods(k, rows, passes)
	}
	return err
}

// keepFloods adds what the k-th run of rows gave at full speed to those that have not come to the
// end of the load, which nothing will be measured of any more.
func (r *Runner) keepFloods(k int, rows []result.Row, passes []result.Pass) {
	for i := range rows {
		if p := passes[i]; len(rows[i].Runs) == k && p.Messages > 0 && r.out[&rows[i]] == nil {
			rows[i].Runs = append(rows[i].Runs, p)
		}
	}
}

// of names the k-th run for people, if there are several.
func (r *Runner) of(k int) string {
	if r.plan.runs() == 1 {
		return ""
	}
	return fmt.Sprintf(", run %d of %d", k+1, r.plan.runs())
}

// tried is measured for a row of which too little may arrive, raw's where packets are lost.
// It is then left out with all its runs, for those that went well would be a choice.
func (r *Runner) tried(ctx context.Context, row *result.Row, p *result.Pass, part func(context.Context, *course.Course, *result.Pass) error) error {
	if r.out[row] != nil {
		return nil
	}
	err := r.measured(ctx, row, p, part)
	if errors.Is(err, course.ErrNothing) {
		r.out[row], row.Runs = err, nil
		return nil
	}
	return err
}

// measured does a part of one run of a row, and checks the order. p stays as it was if that fails.
func (r *Runner) measured(ctx context.Context, row *result.Row, p *result.Pass, part func(context.Context, *course.Course, *result.Pass) error) error {
	c := r.ring.Next(row.Level, row.SizeBytes, row.Senders)
	mark := r.meter.Begin()
	next := *p
	failed := part(ctx, c, &next)
	if failed != nil && !errors.Is(failed, course.ErrNothing) {
		return fmt.Errorf("%v: %w", c, failed)
	}
	verified, err := c.Verify(ctx) // also of what was too little: a breach counts for more
	if err = cmp.Or(err, failed); err != nil {
		return fmt.Errorf("%v: %w", c, err)
	}
	row.Verified = verified
	next.Span = next.Span.Add(r.meter.End(mark, c.Used().CPU()))
	next.Noise = noise.Judge(next.Span)
	*p = next
	return nil
}

// flood measures a row at full speed.
func (r *Runner) flood(ctx context.Context, c *course.Course, p *result.Pass) error {
	p.StartS = time.Since(r.start).Seconds()
	full, err := c.Full(ctx, r.plan.WarmUp(), r.plan.each()/2)
	if err != nil {
		return err
	}
	p.Speed, err = full.Speed(c.Spec.Size)
	p.Processes, p.Drops = full.Processes(), course.Drops(full)
	return err
}

// load measures a row at the load.
func (r *Runner) load(ctx context.Context, c *course.Course, p *result.Pass) error {
	if err := c.Begin(ctx); err != nil {
		return err
	}
	p.LoadMsgsPerS = min(r.plan.Load, p.MsgsPerS/2)
	paced, err := c.Phase(ctx, c.Pace(p.LoadMsgsPerS, r.plan.each()/2))
	if err != nil {
		return err
	}
	p.Latency, err = latency(paced)
	p.LoadProcesses = paced.Processes()
	p.Drops = p.Drops.Add(course.Drops(paced))
	return err
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
