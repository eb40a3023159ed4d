// Package stat says what several runs tell about a figure: its median, how far that
// can be trusted, and whether two sets of runs differ. It assumes nothing about how
// figures are distributed. The statistics are those of benchstat.
package stat

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Confidence is the level that intervals are asked for.
const Confidence = 0.95

// Alpha is the probability below which a difference counts as one.
const Alpha = 0.05

// EnoughForInterval is how many runs an interval at Confidence takes.
const EnoughForInterval = 6

// Interval is where the median lies of all the runs that could be made.
type Interval struct {
	Lo         float64 `json:"lo"`
	Hi         float64 `json:"hi"`
	Confidence float64 `json:"confidence"` // 0 to 1
}

// Spread returns how far the interval reaches from the median, as a part of it:
// 0.05 is 5 %. It is NaN where that says nothing, at a median of 0.
func (i Interval) Spread(median float64) float64 {
	if median == 0 {
		return math.NaN()
	}
	return max(i.Hi-median, median-i.Lo) / math.Abs(median)
}

// manyRuns is from where on more runs change nothing of what is Confident: a document may
// claim any number.
const manyRuns = 1000

// Summary is what runs tell about a figure.
type Summary struct {
	N        int       // runs
	Median   float64   // NaN without any
	Interval *Interval // nil with fewer than two
}

// Summarize returns the median of values and an interval of order statistics, which
// has Confidence or more. With fewer than EnoughForInterval values it is all of them,
// with the confidence that this has.
func Summarize(values []float64) Summary {
	s := Summary{N: len(values), Median: math.NaN()}
	if s.N == 0 {
		return s
	}
	sorted := slices.Clone(values)
	found := benchmath.AssumeNothing.Summary(benchmath.NewSample(sorted, thresholds()), Confidence)
	s.Median = found.Center
	switch {
	case s.N < 2:
	case s.N < EnoughForInterval:
		// The median is outside only if all runs fell to one side of it.
		s.Interval = &Interval{Lo: sorted[0], Hi: sorted[s.N-1], Confidence: 1 - math.Pow(2, float64(1-s.N))}
	default:
		s.Interval = &Interval{Lo: found.Lo, Hi: found.Hi, Confidence: found.Confidence}
	}
	return s
}

// Confident returns the confidence of the interval that Summarize gives for n values;
// 0 if it gives none.
func Confident(n int) float64 {
	places := make([]float64, min(max(n, 0), manyRuns))
	for i := range places {
		places[i] = float64(i)
	}
	if s := Summarize(places); s.Interval != nil {
		return s.Interval.Confidence
	}
	return 0
}

// Comparison is whether two sets of runs differ.
type Comparison struct {
	P           float64 // how probable such a difference is if there is none
	Significant bool    // P is less than Alpha
	TooFew      bool    // no difference could have been significant
}

// Compare puts two sets of runs to the Mann-Whitney U test.
func Compare(a, b []float64) Comparison {
	if len(a) == 0 || len(b) == 0 {
		return Comparison{P: 1, TooFew: true}
	}
	x, y := benchmath.NewSample(slices.Clone(a), thresholds()), benchmath.NewSample(slices.Clone(b), thresholds())
	c := benchmath.AssumeNothing.Compare(x, y)
	return Comparison{P: c.P, Significant: c.P < Alpha, TooFew: leastP(len(a), len(b)) >= Alpha}
}

// leastP returns the P of two sets that do not overlap.
func leastP(n, m int) float64 {
	ways := 1.0 // to choose n of n+m
	for i := 1; i <= n; i++ {
		ways *= float64(m+i) / float64(i)
	}
	return min(1, 2/ways)
}

func thresholds() *benchmath.Thresholds {
	t := benchmath.DefaultThresholds
	t.CompareAlpha = Alpha
	return &t
}
