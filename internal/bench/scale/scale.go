// Package scale measures what more members cost, and what more groups on one ring.
package scale

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
	Size     int           // bytes
	Senders  int           // how many members send
	Duration time.Duration // of a row of members: half of it at full speed, half at the load; of groups: all of it
	Load     float64       // messages per second, all senders together; half the row's own throughput at most
	Limit    time.Duration // of joining the groups of one row
	Network  string
}

// Members measures each level with the ring as it is. An error that is a *course.Breach
// means that a level did not keep its promise. Beside an error there are the rows before it.
func Members(ctx context.Context, ring *course.Ring, p Plan, steps *course.Steps) (rows []result.Scale, err error) {
	if err := ring.Heat(ctx, p.Levels, []int{p.Size}, p.Duration); err != nil {
		return nil, err
	}
	for _, level := range p.Levels {
		c := ring.Next(level, p.Size, p.Senders)
		row, err := p.row(ctx, c)
		if err != nil {
			return rows, fmt.Errorf("%v: %w", c, err)
		}
		rows = append(rows, row)
		steps.Done("%d members, %v: %s msgs/s, p50 %.1f µs", c.Spec.Members, c, result.Count(row.MsgsPerS), row.P50Us)
	}
	return rows, nil
}

func (p *Plan) row(ctx context.Context, c *course.Course) (row result.Scale, err error) {
	row = result.Scale{Level: c.Spec.Level, SizeBytes: c.Spec.Size, Members: c.Spec.Members, Senders: c.Spec.Senders, Network: p.Network}
	full, err := c.Full(ctx, course.WarmUp(p.Duration), p.Duration/2)
	if err != nil {
		return row, err
	}
	if row.Speed, err = full.Speed(c.Spec.Size); err != nil {
		return row, err
	}
	row.CPUUsPerDelivery = row.CPUUsPerMsg / float64(row.Members)
	row.LoadMsgsPerS = min(p.Load, row.MsgsPerS/2)
	paced, err := c.Phase(ctx, c.Pace(row.LoadMsgsPerS, p.Duration/2))
	if err != nil {
		return row, err
	}
	if row.Latency, err = paced.Latency(); err != nil {
		return row, err
	}
	row.Drops = course.Drops(full, paced)
	row.Verified, err = c.Verify(ctx)
	return row, err
}

// Groups measures each level with so many groups that messages go to in turn, one
// count after the other, rising. It ends with the first count that was not reached
// within the limit; its rows say so. Errors are as of Members.
func Groups(ctx context.Context, ring *course.Ring, p Plan, counts []int, steps *course.Steps) (rows []result.Groups, err error) {
	if err := ring.Heat(ctx, p.Levels, []int{p.Size}, p.Duration); err != nil {
		return nil, err
	}
	defer func() { relate(rows) }()
	had := 1
	for _, asked := range counts {
		n, took, err := ring.Join(ctx, asked, p.Limit)
		if err != nil {
			return rows, fmt.Errorf("join %d groups: %w", asked, err)
		}
		joined := result.Joining{Asked: asked, Groups: min(n, asked), Limited: n < asked, Joins: n - had, JoinS: took.Seconds()}
		if joined.Joins > 0 {
			joined.JoinUs = float64(took.Microseconds()) / float64(joined.Joins)
		}
		had = n
		for _, level := range p.Levels {
			row, err := p.groups(ctx, ring.Next(level, p.Size, p.Senders), joined)
			if err != nil {
				return rows, fmt.Errorf("%s, %d groups: %w", level, joined.Groups, err)
			}
			rows = append(rows, row)
			steps.Done("%d groups, %s: %s msgs/s", joined.Groups, level, result.Count(row.MsgsPerS))
		}
		if joined.Limited {
			break
		}
	}
	return rows, nil
}

func (p *Plan) groups(ctx context.Context, c *course.Course, j result.Joining) (row result.Groups, err error) {
	c.Spec.Groups = j.Groups
	row = result.Groups{Joining: j, Level: c.Spec.Level, SizeBytes: c.Spec.Size, Members: c.Spec.Members, Senders: c.Spec.Senders, Network: p.Network}
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

// relate fills in each row's CPU time in relation to that of the fewest groups.
func relate(rows []result.Groups) {
	for i := range rows {
		for _, o := range rows {
			if o.Level == rows[i].Level {
				ratio := rows[i].CPUUsPerMsg / o.CPUUsPerMsg
				rows[i].RatioFewest = &ratio
				break
			}
		}
	}
}
