package targets

import (
	"slices"
	"strings"

	"cohort/internal/bench/result"
)

// Judge holds a run against the targets. A target that no row is for counts once for
// each level and size that it names.
func (s *Set) Judge(r *result.Run) *result.Targets {
	all := &result.Targets{Source: s.Source, Results: []result.TargetResult{}}
	for i := range s.Targets {
		t := &s.Targets[i]
		sizes := t.Sizes
		if len(sizes) == 0 {
			sizes = []int{0}
		}
		for _, size := range sizes {
			for _, level := range t.Levels {
				t.judge(r, level, size, all)
			}
		}
	}
	return all
}

// judge adds the results of all rows of that level and size, 0 for any.
func (t *Target) judge(r *result.Run, level string, size int, all *result.Targets) {
	found := false
	add := func(f result.Figure, size int, senders string) {
		found = true
		v := t.verdict(f)
		v.Level, v.SizeBytes, v.Senders = level, size, senders
		all.Add(v)
	}
	if r.Settings.Loss != t.Loss {
		r = &result.Run{} // nothing of it is for this target
	}
	if t.idle() {
		for i := range r.Idle {
			row := &r.Idle[i]
			f, ok := row.Figure(strings.TrimPrefix(t.Figure, idlePrefix))
			if ok && row.Level == level && (size == 0 || row.SizeBytes == size) {
				add(f, row.SizeBytes, "")
			}
		}
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		f, ok := row.Figure(t.Figure)
		if ok && row.Level == level && (size == 0 || row.SizeBytes == size) && t.describes(row) {
			add(f, row.SizeBytes, senders(row))
		}
	}
	if !found {
		all.Add(result.TargetResult{Verdict: result.NotMeasured, Figure: t.Figure, Level: level, SizeBytes: size, Senders: t.Senders,
			AtLeast: t.AtLeast, AtMost: t.AtMost})
	}
}

// describes tells whether the target is for such a row, of whatever level and size.
func (t *Target) describes(row *result.Row) bool {
	return (t.Senders == "" || t.Senders == senders(row)) && (t.Members == 0 || t.Members == row.Members) &&
		(len(t.Networks) == 0 || slices.Contains(t.Networks, row.Network))
}

// senders names how many send as the flags do.
func senders(row *result.Row) string {
	if row.Senders == 1 {
		return "1"
	}
	return "all"
}

// verdict holds a figure against the target: it is met, or missed, if the whole
// interval is on that side.
func (t *Target) verdict(f result.Figure) result.TargetResult {
	limit := t.limit()
	v := result.TargetResult{Figure: t.Figure, AtLeast: t.AtLeast, AtMost: t.AtMost, Value: &f.Value, Interval: f.Interval, Verdict: result.Undecided}
	short := (limit - f.Value) / limit
	if t.AtMost != nil {
		short = -short
	}
	v.ShortPct = max(0, 100*short)
	if f.Interval == nil {
		return v
	}
	met, missed := f.Interval.Lo >= limit, f.Interval.Hi < limit
	if t.AtMost != nil {
		met, missed = f.Interval.Hi <= limit, f.Interval.Lo > limit
	}
	switch {
	case met:
		v.Verdict = result.Met
	case missed:
		v.Verdict = result.Missed
	}
	return v
}
