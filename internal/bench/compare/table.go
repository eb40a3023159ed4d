package compare

import (
	"fmt"
	"io"
	"strings"

	"cohort/internal/bench/result"
	"cohort/internal/bench/stat"
)

// Encode returns the document as indented JSON.
func (c *Comparison) Encode() ([]byte, error) { return result.Encode(c) }

// Table writes the comparison for people: for each set a table of each figure.
func (c *Comparison) Table(w io.Writer) error {
	for i, s := range c.Sets {
		name := "old"
		if i > 0 {
			name = "new"
		}
		fmt.Fprintf(w, "%s: %s (%s; %s of a row)\n", name, strings.Join(s.Files, ", "), strings.Join(s.Versions, "; "), result.Things(s.Runs, "run"))
	}
	for i := range c.Against {
		a := &c.Against[i]
		if len(c.Against) > 1 {
			fmt.Fprintf(w, "\n%s beside %s\n", strings.Join(c.Sets[a.Set].Files, ", "), strings.Join(c.Sets[0].Files, ", "))
		}
		if err := a.tables(w); err != nil {
			return err
		}
	}
	return nil
}

func (c *Change) tables(w io.Writer) error {
	for from := 0; from < len(c.Figures); {
		to := from
		for to < len(c.Figures) && c.Figures[to].Figure == c.Figures[from].Figure {
			to++
		}
		rows := [][]string{{"level", "size", "senders", "old", "±", "new", "±", "change", "p", "runs"}}
		for i := range c.Figures[from:to] {
			rows = append(rows, c.Figures[from+i].cells())
		}
		fmt.Fprintf(w, "\n%s\n\n", c.Figures[from].Figure)
		if err := result.Aligned(w, rows); err != nil {
			return err
		}
		from = to
	}
	for _, only := range []struct {
		where string
		rows  []string
	}{{"old", c.OnlyOld}, {"new", c.OnlyNew}} {
		for _, r := range only.rows {
			fmt.Fprintf(w, "\nonly in the %s: %s", only.where, r)
		}
	}
	fmt.Fprintf(w, "\n%s\n", c.verdict())
	return nil
}

// verdict says how many figures changed, and how many would by chance.
func (c *Change) verdict() string {
	changed := 0
	for i := range c.Figures {
		if c.Figures[i].Significant {
			changed++
		}
	}
	return fmt.Sprintf("%d of %s changed significantly (p < %v; without any change some %.0f would by chance)",
		changed, result.Things(c.Tested, "figure"), stat.Alpha, stat.Alpha*float64(c.Tested-c.TooFew))
}

func (f *Figure) cells() []string {
	senders := "idle"
	if !f.Idle {
		senders = fmt.Sprint(f.Senders)
	}
	change := "~"
	if f.Significant {
		change = "?"
		if f.ChangePct != nil {
			change = fmt.Sprintf("%+.1f%%", *f.ChangePct)
		}
	}
	return []string{f.Level, result.Bytes(f.SizeBytes), senders, result.Value(f.Figure, f.Old.Median), f.Old.spread(),
		result.Value(f.Figure, f.New.Median), f.New.spread(), change, fmt.Sprintf("%.3f", f.P), fmt.Sprintf("%d+%d", f.Old.N, f.New.N)}
}

func (s *Side) spread() string {
	return result.Figure{Value: s.Median, Interval: s.Interval}.Spread()
}

// Notes warns of what makes the comparison worth less.
func (c *Comparison) Notes() (notes []string) {
	for _, s := range c.Sets {
		for _, n := range s.Incomplete {
			notes = append(notes, "WARNING: incomplete: "+n)
		}
		for _, n := range s.Noisy {
			notes = append(notes, "WARNING: noisy machine: "+n)
		}
	}
	for _, a := range c.Against {
		if a.TooFew > 0 {
			notes = append(notes, fmt.Sprintf("WARNING: %d of %s have too few runs for any change to show: want at least 4 on each side, better 6",
				a.TooFew, result.Things(a.Tested, "figure")))
		}
		if a.Tested == 0 {
			notes = append(notes, "WARNING: no row is in both: nothing was compared")
		}
		for _, d := range a.Different {
			notes = append(notes, "WARNING: measured differently: "+d)
		}
	}
	return notes
}
