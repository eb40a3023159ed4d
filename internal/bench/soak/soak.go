// Package soak runs levels at a moderate load for a long time, checks their order all
// the while, and says whether anything grows.
package soak

import (
	"context"
	"fmt"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/result"
)

// saturationTime is how long each half of finding a level's saturation takes.
const saturationTime = 300 * time.Millisecond

// Plan is what to measure.
type Plan struct {
	Levels   []string
	Size     int // bytes
	Senders  int
	Duration time.Duration // of all
	Interval time.Duration // in which each level has its turn
	Percent  float64       // of each level's saturation
	Network  string
}

// Steps returns how many intervals there are.
func (p *Plan) Steps() int { return int((p.Duration + p.Interval - 1) / p.Interval) }

// soak is a plan under way.
type soak struct {
	Plan
	ring  *course.Ring
	doc   *result.Soak
	began time.Time
	loads []float64 // by level, messages per second
}

// Run fills doc's rows, health, totals and drift. With an error they have what was
// measured before: a *course.Breach says that a level did not keep its promise, and a
// *Leak that a member holds more and more. observe may be nil.
func Run(ctx context.Context, ring *course.Ring, p Plan, doc *result.Soak, observe func(done, steps int, text string)) error {
	s := &soak{Plan: p, ring: ring, doc: doc}
	steps := course.Steps{All: p.Steps(), Observe: observe}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer func() { doc.Drift = drift(doc) }()
	s.began = time.Now()
	for i := range steps.All {
		if err := s.interval(ctx, i); err != nil {
			return err
		}
		last := doc.Rows[len(doc.Rows)-1]
		steps.Done("%v: %s p50 %.1f µs, %.1f MB resident at rank 0", time.Since(s.began).Round(time.Second),
			last.Level, last.P50Us, float64(doc.Health[len(doc.Health)-doc.Settings.Members].RSSBytes)/1e6)
	}
	return leak(drift(doc))
}

// prepare finds each level's load.
func (s *soak) prepare(ctx context.Context) error {
	if err := s.ring.Heat(ctx, s.Levels, []int{s.Size}, saturationTime); err != nil {
		return err
	}
	for _, level := range s.Levels {
		c := s.ring.Next(level, s.Size, s.Senders)
		_, top, err := c.Saturation(ctx, saturationTime)
		if err == nil {
			_, err = c.Verify(ctx)
		}
		if err != nil {
			return fmt.Errorf("%v, before the first interval: %w", c, err)
		}
		s.loads = append(s.loads, top*s.Percent/100)
		s.doc.Totals = append(s.doc.Totals, result.SoakTotal{Level: level, LoadMsgsPerS: top * s.Percent / 100})
	}
	return nil
}

// interval gives each level its turn, and then asks the members what they hold.
func (s *soak) interval(ctx context.Context, n int) error {
	for i := range s.Levels {
		c := s.ring.Next(s.Levels[i], s.Size, s.Senders)
		if err := s.turn(ctx, c, n, i); err != nil {
			return fmt.Errorf("%v, %v after the start: %w", c, time.Since(s.began).Round(time.Second), err)
		}
	}
	all, err := s.ring.Health(ctx)
	if err != nil {
		return err
	}
	for rank, h := range all {
		s.doc.Health = append(s.doc.Health, result.SoakHealth{Interval: n, AtS: time.Since(s.began).Seconds(), Rank: rank, Health: h})
	}
	return nil
}

// turn is one level's part of an interval.
func (s *soak) turn(ctx context.Context, c *course.Course, n, i int) error {
	if err := c.Begin(ctx); err != nil {
		return err
	}
	f, err := c.Phase(ctx, c.Pace(s.loads[i], s.Interval/time.Duration(len(s.Levels))))
	if err != nil {
		return err
	}
	speed, err := f.Speed(c.Spec.Size)
	if err != nil {
		return err
	}
	now, err := f.Latency()
	if err != nil {
		return err
	}
	row := result.SoakRow{Interval: n, AtS: time.Since(s.began).Seconds(), Level: c.Spec.Level, OfferedMsgsPerS: s.loads[i],
		MsgsPerS: speed.MsgsPerS, CPUUsPerMsg: speed.CPUUsPerMsg, Messages: speed.Messages, Lost: speed.Lost, Drops: course.Drops(f),
		P50Us: now.P50Us, P90Us: now.P90Us, P99Us: now.P99Us, P999Us: now.P999Us, MaxUs: now.MaxUs}
	if row.Verified, err = c.Verify(ctx); err != nil {
		return err
	}
	s.doc.Rows = append(s.doc.Rows, row)
	return s.doc.Totals[i].Add(row, now)
}
