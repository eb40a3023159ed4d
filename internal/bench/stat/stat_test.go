package stat

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b)) }

// The confidence of an interval of order statistics follows from coin tosses: that
// all of n runs fall to one side of the median has the probability 2/2^n.
func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		values             []float64
		median, lo, hi, at float64
	}{
		{[]float64{3, 1, 2}, 2, 1, 3, 0.75},
		{[]float64{4, 1, 2, 3}, 2.5, 1, 4, 0.875},
		{[]float64{5, 1, 4, 2, 3}, 3, 1, 5, 0.9375},
		{[]float64{6, 5, 4, 3, 2, 1}, 3.5, 1, 6, 1 - 2.0/64},
		// The second of ten from each side: 1 - 2*(1+10)/1024.
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 5.5, 2, 9, 1 - 22.0/1024},
	} {
		s := Summarize(c.values)
		if s.N != len(c.values) || !near(s.Median, c.median) || s.Interval == nil {
			t.Errorf("%v: %+v, want the median %v", c.values, s, c.median)
			continue
		}
		if !near(Confident(s.N), c.at) {
			t.Errorf("%d runs give a confidence of %v, want %v", s.N, Confident(s.N), c.at)
		}
		if i := *s.Interval; !near(i.Lo, c.lo) || !near(i.Hi, c.hi) || !near(i.Confidence, c.at) {
			t.Errorf("%v: %+v, want %v to %v at %v", c.values, i, c.lo, c.hi, c.at)
		}
	}
}

func TestOneRunHasNoInterval(t *testing.T) {
	if s := Summarize([]float64{7}); s.Median != 7 || s.Interval != nil {
		t.Errorf("%+v, want 7 alone", s)
	}
	if c := Confident(1); c != 0 {
		t.Errorf("one run gives a confidence of %v", c)
	}
	if s := Summarize(nil); s.N != 0 || !math.IsNaN(s.Median) || s.Interval != nil {
		t.Errorf("%+v, want nothing", s)
	}
}

// Known values of the exact test: 2/C(n+m,n) for sets that do not overlap.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b        []float64
		p           float64
		significant bool
		few         bool
	}{
		{[]float64{1, 2, 3, 4, 5, 6}, []float64{7, 8, 9, 10, 11, 12}, 2.0 / 924, true, false},
		{[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70, true, false},
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 2.0 / 20, false, true},
		{[]float64{1}, []float64{2}, 1, false, true},
		{[]float64{1}, nil, 1, false, true},
		{[]float64{1, 3, 5, 7, 9, 11}, []float64{2, 4, 6, 8, 10, 12}, 0.6991341991, false, false},
		{[]float64{5, 5, 5, 5}, []float64{5, 5, 5, 5}, 1, false, false},
	} {
		got := Compare(c.a, c.b)
		if math.Abs(got.P-c.p) > 1e-6 || got.Significant != c.significant || got.TooFew != c.few {
			t.Errorf("%v and %v: %+v, want p=%v, significant %v, too few %v", c.a, c.b, got, c.p, c.significant, c.few)
		}
	}
}

func TestSpread(t *testing.T) {
	if got := (Interval{Lo: 90, Hi: 105}).Spread(100); !near(got, 0.1) {
		t.Errorf("%v, want 0.1", got)
	}
	if got := (Interval{Lo: 0, Hi: 1}).Spread(0); !math.IsNaN(got) {
		t.Errorf("%v, want none at a median of 0", got)
	}
}

// The order of runs is no matter, and what is given is left as it was.
func TestOrderIsNoMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 2, 20).Draw(t, "values")
		first := values[0]
		mixed := rapid.Permutation(values).Draw(t, "mixed")
		a, b := Summarize(values), Summarize(mixed)
		if a.Median != b.Median || *a.Interval != *b.Interval {
			t.Errorf("%+v and %+v", a, b)
		}
		if i := a.Interval; i.Lo > a.Median || i.Hi < a.Median {
			t.Errorf("median %v is outside of %+v", a.Median, *i)
		}
		if values[0] != first {
			t.Error("the values were sorted in place")
		}
	})
}
