package soak

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
)

// held makes a soak of n intervals of 10 s in which members hold what rss says.
func held(n int, rss func(i int, noise float64) float64) *result.Soak {
	doc := &result.Soak{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		h := member.Health{RSSBytes: int64(rss(i, random.NormFloat64())), Goroutines: 9, OpenFiles: 15}
		doc.Health = append(doc.Health, result.SoakHealth{Interval: i, AtS: float64(10 * i), Rank: 0, Health: h})
		doc.Rows = append(doc.Rows, result.SoakRow{Interval: i, AtS: float64(10 * i), Level: "abcast", MsgsPerS: 1000, P50Us: 100 + 5*random.NormFloat64(), P99Us: 900})
	}
	return doc
}

func TestDriftOfMemory(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name string
		n    int
		rss  func(i int, noise float64) float64
		want result.Trend
	}{
		{"noise", 60, func(_ int, noise float64) float64 { return (80 + 2*noise) * mib }, result.Steady},
		{"a leak of 0.5 MiB an interval", 60, func(i int, noise float64) float64 { return (80 + 2*noise + float64(i)/2) * mib }, result.Grows},
		{"growth that is a small part", 60, func(i int, noise float64) float64 { return (800 + noise + float64(i)/2) * mib }, result.Steady},
		{"growth that ended", 60, func(i int, noise float64) float64 { return (80 + noise + float64(min(i, 25))) * mib }, result.Steady},
		{"less and less", 60, func(i int, noise float64) float64 { return (180 + noise - float64(i)) * mib }, result.Falls},
		{"few intervals", 10, func(i int, _ float64) float64 { return float64(80+10*i) * mib }, result.TooShort},
	} {
		all := drift(held(c.n, c.rss))
		if len(all) != 6 {
			t.Fatalf("%s: %d quantities, want 6", c.name, len(all))
		}
		if d := all[0]; d.What != "rss_bytes" || d.Of != "member 0" || d.Verdict != c.want || d.Leak != (c.want == result.Grows) {
			t.Errorf("%s: %+v, want it to be %s", c.name, d, c.want)
		}
		var l *Leak
		if err := leak(all); errors.As(err, &l) != (c.want == result.Grows) || l != nil && !strings.Contains(err.Error(), "rss_bytes of member 0") {
			t.Errorf("%s: error %v", c.name, err)
		}
		for _, d := range all[1:] {
			if c.n == 60 && d.Verdict != result.Steady {
				t.Errorf("%s: %s of %s %s", c.name, d.What, d.Of, d.Verdict)
			}
		}
	}
}

// TestDriftHasItsSlope: a leak of 1 MiB each 10 s is one of 360 an hour.
func TestDriftHasItsSlope(t *testing.T) {
	d := drift(held(100, func(i int, _ float64) float64 { return float64(i) * (1 << 20) }))[0]
	if got := d.PerHour / (1 << 20); got < 359.9 || got > 360.1 || d.Samples != 90 || d.MarginPerHour > 1 {
		t.Errorf("%v MiB an hour, %d samples, +- %v", got, d.Samples, d.MarginPerHour)
	}
}

// TestFewIntervalsHaveAMean: it needs no slope.
func TestFewIntervalsHaveAMean(t *testing.T) {
	for n, mean := range map[int]float64{1: 0, 5: 80} {
		if d := drift(held(n, func(int, float64) float64 { return 80 }))[0]; d.Verdict != result.TooShort || d.Mean != mean || d.Samples != n-1 || d.PerHour != 0 {
			t.Errorf("%d intervals: %+v, want a mean of %v", n, d, mean)
		}
	}
}

// TestSlowerIsNoLeak: it is told, and does not fail the soak.
func TestSlowerIsNoLeak(t *testing.T) {
	doc := held(60, func(int, float64) float64 { return 80 << 20 })
	for i := range doc.Rows {
		doc.Rows[i].P50Us += 4 * float64(i)
	}
	all := drift(doc)
	if d := all[3]; d.What != "p50_us" || d.Verdict != result.Grows || d.Leak {
		t.Errorf("%+v", d)
	}
	if err := leak(all); err != nil {
		t.Error(err)
	}
}
