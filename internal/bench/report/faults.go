package report

import (
	"fmt"

	"cohort/internal/bench/result"
)

// ofFailover draws what each fault does, along the time from it on.
func ofFailover(r *result.Failover) []figure {
	f := figure{id: "timeline", title: "What a failure costs the members that go on",
		note: fmt.Sprintf("Points are medians, lines reach from the least to the most of all faults of a kind. Gap: the longest time without a delivery. View, recovered: from the fault to the new view, and to the old throughput. Back: until all are in one view again. A silent member is given up after %g ms.", r.Settings.TimeoutMs),
		x:    axis{label: "length, or time from the fault, in ms", log: true}, across: true}
	tail := figure{id: "tail", title: "The 99th percentile of each, by fault", note: "Of all faults of a kind, at every member that goes on.", x: f.x, across: true}
	for k := range r.Rows {
		row := r.Rows[len(r.Rows)-1-k] // the first one on top
		at := float64(place(&f.categories, row.Fault))
		tail.categories = f.categories
		for _, s := range []struct {
			name               string
			least, p50, p99, m float64
		}{
			{"gap", row.GapMin, row.GapP50, row.GapP99, row.GapMax},
			{"view", row.ViewMin, row.ViewP50, row.ViewP99, row.ViewMax},
			{"recovered", row.RecoveredMin, row.RecoveredP50, row.RecoveredP99, row.RecoveredMax},
			{"back", row.BackMin, row.BackP50, row.BackP99, row.BackMax},
		} {
			f.series = add(f.series, s.name, point{x: at, y: s.p50, lo: s.least, hi: s.m})
			tail.series = add(tail.series, s.name, point{x: at, y: s.p99})
		}
	}
	return append([]figure{f, tail}, timelines(r)...)
}

// soon is how long a timeline may be to be drawn with others of kills, ms.
const soon = 300

// timelines draws what throughput did around each fault: those that are over soon, and
// those that a timeout must find first.
func timelines(r *result.Failover) []figure {
	f := figure{id: "throughput-soon", title: "Throughput around a failure that is noticed at once", joined: true,
		note: fmt.Sprintf("Delivered at the members that go on, of messages of those that were not hit, in each %g ms; the fault is at 0. Medians over all faults of a kind and members.", r.Settings.BucketMs),
		x:    axis{label: "ms from the fault"}, y: axis{label: "of the throughput before", zero: true}}
	late := f
	late.id, late.title = "throughput-late", "Throughput around a failure that a timeout must find"
	for _, row := range r.Rows {
		to := &f
		if n := len(row.Timeline); n > 0 && row.Timeline[n-1].AtMs > soon {
			to = &late
		}
		for _, m := range row.Timeline {
			to.series = add(to.series, row.Fault, point{x: m.AtMs, y: m.P50})
		}
	}
	return []figure{f, late}
}

// ofSoak draws how latency, rates and memory went on.
func ofSoak(s *result.Soak) []figure {
	time := axis{label: "minutes since the start", zero: true}
	const each = "Each level has its turn in each interval; a point is one interval."
	p50 := figure{id: "p50", title: "Median latency over time", note: each, x: time, y: oneWay, joined: true}
	p99 := figure{id: "p99", title: "99th percentile of latency over time", note: each, x: time, y: oneWay, joined: true}
	rate := figure{id: "rate", title: "Messages delivered per second over time", note: each, x: time, y: rates, joined: true}
	for _, r := range s.Rows {
		at := r.AtS / 60
		p50.series = add(p50.series, r.Level, point{x: at, y: r.P50Us})
		p99.series = add(p99.series, r.Level, point{x: at, y: r.P99Us})
		rate.series = add(rate.series, r.Level, point{x: at, y: r.MsgsPerS})
	}
	memory := figure{id: "memory", title: "Resident memory of each member over time", note: "After each interval, the garbage given back.",
		x: time, y: axis{label: "MiB", zero: true}, joined: true}
	for _, h := range s.Health {
		if h.RSSBytes > 0 { // else the system does not tell
			memory.series = add(memory.series, fmt.Sprintf("member %d", h.Rank), point{x: h.AtS / 60, y: float64(h.RSSBytes) / (1 << 20)})
		}
	}
	var totals []figure
	for i := range s.Totals {
		totals = addCurve(totals, "percentiles", "Latency percentiles over all intervals", "From when a message was due.", s.Totals[i].Level, &s.Totals[i].Latency)
	}
	return append([]figure{p50, p99, rate, memory}, totals...)
}
