package result

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"cohort/internal/bench/stat"
)

// Verdict is whether a target was met.
type Verdict string

// Verdicts. What the interval of the runs reaches across, in either direction, is
// undecided; so is all that was measured once.
const (
	Met         Verdict = "met"
	Missed      Verdict = "missed"
	Undecided   Verdict = "undecided"
	NotMeasured Verdict = "not measured"
)

// Targets is what a run was held to.
type Targets struct {
	Source      string         `json:"source"` // file
	Met         int            `json:"met"`
	Missed      int            `json:"missed"`
	Undecided   int            `json:"undecided"`
	NotMeasured int            `json:"not_measured"`
	Results     []TargetResult `json:"results"`
}

// TargetResult is one target at one row.
type TargetResult struct {
	Verdict   Verdict        `json:"verdict"`
	Figure    string         `json:"figure"`
	Level     string         `json:"level"`
	SizeBytes int            `json:"size_bytes,omitempty"` // 0: any, where nothing was measured
	Senders   string         `json:"senders,omitempty"`
	AtLeast   *float64       `json:"at_least,omitempty"`
	AtMost    *float64       `json:"at_most,omitempty"`
	Value     *float64       `json:"value"` // null if not measured, as is the next
	Interval  *stat.Interval `json:"interval"`
	ShortPct  float64        `json:"short_pct,omitempty"` // how far the value is on the wrong side, in percent of the target
}

// Add adds one result and counts it.
func (t *Targets) Add(r TargetResult) {
	t.Results = append(t.Results, r)
	switch r.Verdict {
	case Met:
		t.Met++
	case Missed:
		t.Missed++
	case Undecided:
		t.Undecided++
	case NotMeasured:
		t.NotMeasured++
	}
}

func (t *Targets) table(w io.Writer) error {
	fmt.Fprintf(w, "\ntargets (%s): %d met, %d missed, %d undecided, %d not measured\n\n", t.Source, t.Met, t.Missed, t.Undecided, t.NotMeasured)
	tab := newTable(w, []string{"target", "size", "senders", "figure", "measured", "interval", "wanted", "verdict", "short by"})
	for _, r := range t.Results {
		tab.line(r.cells())
	}
	return tab.flush()
}

func (r *TargetResult) cells() []string {
	cells := []string{r.Level, "", r.Senders, r.Figure, "", "", "", string(r.Verdict), ""}
	if r.SizeBytes > 0 {
		cells[1] = Bytes(r.SizeBytes)
	}
	if r.Value != nil {
		cells[4] = Value(r.Figure, *r.Value)
	}
	if i := r.Interval; i != nil {
		cells[5] = Value(r.Figure, i.Lo) + " to " + Value(r.Figure, i.Hi)
	}
	if r.AtLeast != nil {
		cells[6] = "at least " + Value(r.Figure, *r.AtLeast)
	} else if r.AtMost != nil {
		cells[6] = "at most " + Value(r.Figure, *r.AtMost)
	}
	if r.ShortPct > 0 {
		cells[8] = percent(r.ShortPct / 100)
	}
	return cells
}

// Value writes a figure as its name wants it.
func Value(figure string, v float64) string {
	switch {
	case strings.HasSuffix(figure, "msgs_per_s"):
		return Count(v)
	case strings.Contains(figure, "ratio_"):
		return strconv.FormatFloat(v, 'f', 3, 64)
	case strings.HasSuffix(figure, "_us"):
		return micro(v)
	}
	return amount(v)
}
