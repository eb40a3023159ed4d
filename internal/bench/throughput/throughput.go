// Package throughput measures how fast each level is by size, senders and members.
package throughput

import (
	"context"
	"fmt"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/result"
)

// Plan is what to measure with one ring.
type Plan struct {
	Levels   []string
	Sizes    []int         // bytes
	Senders  []int         // how many members send
	Duration time.Duration // of a row
	Network  string
}

// Steps returns how many rows there are.
func (p *Plan) Steps() int { return len(p.Levels) * len(p.Sizes) * len(p.Senders) }

// Run measures everything. An error that is a *course.Breach means that a level did not
// keep its promise. Beside an error there are the rows before it.
func Run(ctx context.Context, ring *course.Ring, p Plan, steps *course.Steps) (rows []result.Sweep, err error) {
	if err := ring.Heat(ctx, p.Levels, p.Sizes, p.Duration); err != nil {
		return nil, err
	}
	for _, size := range p.Sizes {
		for _, senders := range p.Senders {
			// Levels that are compared run next to each other in time.
			for _, level := range p.Levels {
				c := ring.Next(level, size, senders)
				row, err := p.row(ctx, c)
				if err != nil {
					return rows, fmt.Errorf("%v: %w", c, err)
				}
				rows = append(rows, row)
				steps.Done("%v of %d: %s msgs/s, %.0f MB/s", c, c.Spec.Members, result.Count(row.MsgsPerS), row.MBPerS)
			}
		}
	}
	return rows, nil
}

// row measures one row.
func (p *Plan) row(ctx context.Context, c *course.Course) (row result.Sweep, err error) {
	row = result.Sweep{Level: c.Spec.Level, SizeBytes: c.Spec.Size, Members: c.Spec.Members, Senders: c.Spec.Senders, Network: p.Network}
	full, err := c.Full(ctx, course.WarmUp(p.Duration), p.Duration)
	if err != nil {
		return row, err
	}
	if row.Speed, err = full.Speed(c.Spec.Size); err != nil {
		return row, err
	}
	row.Drops = course.Drops(full)
	row.Verified, err = c.Verify(ctx)
	return row, err
}
