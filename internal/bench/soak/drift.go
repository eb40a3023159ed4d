package soak

import (
	"fmt"
	"strings"

	"cohort/internal/bench/result"
)

// Leak is the error of members that hold more and more.
type Leak struct{ Grows []result.Drift }

func (l *Leak) Error() string {
	var parts []string
	for _, d := range l.Grows {
		parts = append(parts, fmt.Sprintf("%s of %s by %.4g an hour", d.What, d.Of, d.PerHour))
	}
	return "leak: grows " + strings.Join(parts, ", ")
}

// Tolerances: a trend that changes less during the soak is taken for steady, as a
// part of the mean and in the quantity's own unit. A machine's noise is the reason.
var tolerances = []struct {
	what  string
	part  float64
	least float64
	leak  bool // growing fails the soak
	of    func(result.SoakHealth) float64
	row   func(result.SoakRow) float64
}{
	{what: "rss_bytes", part: 0.1, least: 8 << 20, leak: true, of: func(h result.SoakHealth) float64 { return float64(h.RSSBytes) }},
	{what: "goroutines", part: 0.1, least: 3, leak: true, of: func(h result.SoakHealth) float64 { return float64(h.Goroutines) }},
	{what: "open_files", part: 0.1, least: 3, leak: true, of: func(h result.SoakHealth) float64 { return float64(h.OpenFiles) }},
	{what: "p50_us", part: 0.25, least: 10, row: func(r result.SoakRow) float64 { return r.P50Us }},
	{what: "p99_us", part: 0.5, least: 50, row: func(r result.SoakRow) float64 { return r.P99Us }},
	{what: "msgs_per_s", part: 0.05, row: func(r result.SoakRow) float64 { return r.MsgsPerS }},
}

// drift looks for a trend in everything that was measured per interval.
func drift(doc *result.Soak) (all []result.Drift) {
	for _, t := range tolerances {
		for _, s := range series(doc, t.of, t.row) {
			d := s.trend(t.part, t.least)
			d.What, d.Of, d.Leak = t.what, s.of, t.leak && d.Verdict == result.Grows
			all = append(all, d)
		}
	}
	return all
}

// leak returns the error of those that are leaks, or nil.
func leak(all []result.Drift) error {
	var l Leak
	for _, d := range all {
		if d.Leak {
			l.Grows = append(l.Grows, d)
		}
	}
	if l.Grows == nil {
		return nil
	}
	return &l
}

// series takes one quantity apart: of each member, or of each level.
func series(doc *result.Soak, health func(result.SoakHealth) float64, row func(result.SoakRow) float64) (list []*line) {
	lines := map[string]*line{}
	add := func(of string, at, value float64) {
		if lines[of] == nil {
			lines[of] = &line{of: of}
			list = append(list, lines[of])
		}
		lines[of].hours, lines[of].values = append(lines[of].hours, at/3600), append(lines[of].values, value)
	}
	if health != nil {
		for _, h := range doc.Health {
			add(fmt.Sprintf("member %d", h.Rank), h.AtS, health(h))
		}
		return list
	}
	for _, r := range doc.Rows {
		add(r.Level, r.AtS, row(r))
	}
	return list
}
