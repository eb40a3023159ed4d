// Package latency measures each level's latency against the load that is offered,
// up to where the level is saturated and beyond.
package latency

import (
	"context"
	"fmt"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/result"
)

// leastMessages is what each sender sends at a point, however low the load.
const leastMessages = 10

// Plan is what to measure.
type Plan struct {
	Levels   []string
	Sizes    []int // bytes
	Senders  int
	Duration time.Duration // of a point; longer where the load is too low for it
	Points   []float64     // percent of saturation
	Loads    []float64     // instead of Points: messages per second, all senders together
	Network  string
}

// Steps returns how many points there are.
func (p *Plan) Steps() int { return len(p.Levels) * len(p.Sizes) * (len(p.Points) + len(p.Loads)) }

// bench is a plan under way.
type bench struct {
	Plan
	ring  *course.Ring
	steps course.Steps
}

// Run measures everything. An error that is a *course.Breach means that a level did not
// keep its promise. Beside an error there are the points before it; those of the last level are then not verified. observe may be nil.
func Run(ctx context.Context, ring *course.Ring, p Plan, observe func(done, steps int, text string)) (all []result.Point, err error) {
	b := &bench{Plan: p, ring: ring, steps: course.Steps{All: p.Steps(), Observe: observe}}
	if err := ring.Heat(ctx, p.Levels, p.Sizes, p.Duration); err != nil {
		return nil, err
	}
	for _, size := range p.Sizes {
		for _, level := range p.Levels {
			c := ring.Next(level, size, p.Senders)
			points, err := b.curve(ctx, c)
			all = append(all, points...)
			if err != nil {
				return all, fmt.Errorf("%v: %w", c, err)
			}
		}
	}
	return all, nil
}

// curve measures one level at one size.
func (b *bench) curve(ctx context.Context, c *course.Course) (points []result.Point, err error) {
	flood, saturation, err := c.Saturation(ctx, b.Duration/2)
	if err != nil {
		return nil, err
	}
	top := result.Point{
		Level: c.Spec.Level, SizeBytes: c.Spec.Size, Members: c.Spec.Members, Senders: c.Spec.Senders, Network: b.Network,
		FloodMsgsPerS: flood, SaturationMsgsPerS: saturation,
	}
	for _, percent := range b.Points {
		p := top
		p.Percent, p.OfferedMsgsPerS = &percent, top.SaturationMsgsPerS*percent/100
		points = append(points, p)
	}
	for _, load := range b.Loads {
		p := top
		p.OfferedMsgsPerS = load
		points = append(points, p)
	}
	for i := range points {
		if err := b.point(ctx, c, &points[i]); err != nil {
			return points[:i], err
		}
	}
	verified, err := c.Verify(ctx)
	for i := range points {
		points[i].Verified = verified
	}
	return points, err
}

// point measures one load.
func (b *bench) point(ctx context.Context, c *course.Course, p *result.Point) error {
	least := time.Duration(leastMessages * float64(b.Senders) / p.OfferedMsgsPerS * float64(time.Second))
	phase := c.Pace(p.OfferedMsgsPerS, max(b.Duration, least))
	p.OfferedMsgsPerS = float64(b.Senders) / phase.Every.Seconds() // in whole ns between messages
	f, err := c.Phase(ctx, phase)
	if err != nil {
		return err
	}
	speed, err := f.Speed(c.Spec.Size)
	if err != nil {
		return err
	}
	if p.Latency, err = f.Latency(); err != nil {
		return err
	}
	p.AchievedMsgsPerS, p.CPUUsPerMsg = speed.MsgsPerS, speed.CPUUsPerMsg
	p.Messages, p.Lost, p.Drops = speed.Messages, speed.Lost, course.Drops(f)
	p.Judge()
	b.steps.Done("%v: %s msgs/s offered, p50 %.1f µs, p99 %.1f µs", c, result.Count(p.OfferedMsgsPerS), p.P50Us, p.P99Us)
	return nil
}
