package run

import (
	"context"
	"fmt"
	"time"

	"cohort/internal/bench/kernel"
	"cohort/internal/bench/member"
	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
)

// rows returns all rows in the order in which they are shown, without figures.
func (p *Plan) rows(members int) (rows []result.Row, idle []result.Idle) {
	for _, size := range p.Sizes {
		for _, senders := range p.Senders {
			for _, level := range p.Levels {
				rows = append(rows, result.Row{Level: level, SizeBytes: size, Members: members, Senders: senders, Network: p.Network})
			}
		}
	}
	for _, level := range p.Levels {
		idle = append(idle, result.Idle{Level: level, SizeBytes: idleSize})
	}
	return rows, idle
}

// pass runs every row once, for the k-th time: what disturbs the machine for a while
// then disturbs one run of many rows and not all runs of one. Levels that are compared
// run next to each other in time, and each run begins with another one.
func (r *Runner) pass(ctx context.Context, k int, res *result.Run) error {
	levels := len(r.plan.Levels)
	for i := range res.Rows {
		block := i / levels * levels
		row := &res.Rows[block+(i+k)%levels]
		c := r.next(row.Level, row.SizeBytes, row.Senders)
		p, err := r.row(ctx, c)
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		row.Runs, row.Verified = append(row.Runs, p), c.verified
		r.finished("%v%s: %s msgs/s, p50 %.1f µs", c, r.of(k), result.Count(p.MsgsPerS), p.P50Us)
	}
	for i := range res.Idle {
		idle := &res.Idle[(i+k)%levels]
		c := r.next(idle.Level, idle.SizeBytes, 1)
		p, err := r.idle(ctx, c)
		if err != nil {
			return fmt.Errorf("%s on an idle group: %w", idle.Level, err)
		}
		idle.Runs, idle.Verified = append(idle.Runs, p), c.verified
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

// row measures one row once, at full speed and then at the load.
func (r *Runner) row(ctx context.Context, c *course) (p result.Pass, err error) {
	p.StartS = time.Since(r.start).Seconds()
	if err = c.begin(ctx); err != nil {
		return p, err
	}
	if _, err = c.phase(ctx, member.Phase{Kind: member.Flood, Duration: r.plan.WarmUp()}); err != nil {
		return p, err
	}
	full, err := c.phase(ctx, member.Phase{Kind: member.Flood, Duration: r.plan.each() / 2})
	if err != nil {
		return p, err
	}
	if err = full.speed(&p); err != nil {
		return p, err
	}
	p.LoadMsgsPerS = min(r.plan.Load, p.MsgsPerS/2)
	paced, err := c.phase(ctx, c.pace(p.LoadMsgsPerS, r.plan.each()/2))
	if err != nil {
		return p, err
	}
	if p.Latency, err = paced.latency(); err != nil {
		return p, err
	}
	p.Processes, p.LoadProcesses = full.processes(), paced.processes()
	full.losses(&p)
	paced.losses(&p)
	err = c.verify(ctx)
	p.Span, p.Noise = c.noise, noise.Judge(c.noise)
	return p, err
}

// idle measures one message at a time.
func (r *Runner) idle(ctx context.Context, c *course) (p result.IdlePass, err error) {
	c.spec.Idle = true
	p.StartS = time.Since(r.start).Seconds()
	if err = c.begin(ctx); err != nil {
		return p, err
	}
	count := (IdleMessages + r.plan.runs() - 1) / r.plan.runs()
	lone, err := c.phase(ctx, member.Phase{Kind: member.Lone, Every: IdlePause, Count: count})
	if err != nil {
		return p, err
	}
	if p.Latency, err = lone.latency(); err != nil {
		return p, err
	}
	p.Processes = lone.processes()
	err = c.verify(ctx)
	p.Span, p.Noise = c.noise, noise.Judge(c.noise)
	return p, err
}

// usedBy returns what all processes of the bench, this one included, have taken so far.
func usedBy(replies []member.Reply) kernel.Usage {
	sum := kernel.Self()
	for _, a := range replies {
		if a.Used != nil {
			sum = sum.Add(*a.Used)
		}
	}
	return sum
}
