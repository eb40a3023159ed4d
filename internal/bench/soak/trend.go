package soak

import (
	"math"

	"cohort/internal/bench/result"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// leastSamples is how many intervals a verdict needs.
const leastSamples = 10

// line is one quantity over time.
type line struct {
	of     string
	hours  []float64
	values []float64
}

// settled leaves out the first tenth, in which memory grows to what it needs.
func (l *line) settled() *line {
	n := (len(l.values) + 9) / 10
	return &line{l.of, l.hours[n:], l.values[n:]}
}

// trend fits a straight line. It grows or falls if the slope differs from none, with
// a confidence of 95 %, over all and over the second half alone (what grew once and
// stopped does no harm), and if the change over all is more than a part of the mean
// and the least.
func (l *line) trend(part, least float64) (d result.Drift) {
	l = l.settled()
	if d.Samples = len(l.values); d.Samples > 0 {
		d.Mean = stat.Mean(l.values, nil)
	}
	if d.Samples < leastSamples {
		d.Verdict = result.TooShort
		return d
	}
	slope, margin := l.slope()
	half := &line{l.of, l.hours[d.Samples/2:], l.values[d.Samples/2:]}
	late, lateMargin := half.slope()
	d.PerHour, d.MarginPerHour = slope, margin
	d.Change = slope * (l.hours[d.Samples-1] - l.hours[0])
	switch large := math.Abs(d.Change) > max(part*math.Abs(d.Mean), least); {
	case large && slope > margin && late > lateMargin:
		d.Verdict = result.Grows
	case large && slope < -margin && late < -lateMargin:
		d.Verdict = result.Falls
	default:
		d.Verdict = result.Steady
	}
	return d
}

// slope returns the least squares' slope per hour, and half the width of its interval of 95 %.
func (l *line) slope() (slope, margin float64) {
	n := float64(len(l.values))
	offset, slope := stat.LinearRegression(l.hours, l.values, nil, false)
	var rest float64
	for i, x := range l.hours {
		r := l.values[i] - offset - slope*x
		rest += r * r
	}
	spread := stat.Variance(l.hours, nil) * (n - 1)
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 2}.Quantile(0.975)
	return slope, t * math.Sqrt(rest/(n-2)/spread)
}
