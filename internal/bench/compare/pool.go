package compare

import (
	"maps"
	"math"
	"slices"

	"cohort/internal/bench/result"
	"cohort/internal/bench/stat"
)

// cell is a figure of a row.
type cell struct {
	row    Row
	figure string
}

// pool is the runs of all documents of a set.
type pool struct {
	rows   []Row // in the order in which they were met
	values map[cell][]float64
}

func newPool(docs []*result.Run, figures []string) pool {
	p := pool{values: map[cell][]float64{}}
	for _, d := range docs {
		for i := range d.Rows {
			r := &d.Rows[i]
			p.add(Row{Level: r.Level, SizeBytes: r.SizeBytes, Members: r.Members, Senders: r.Senders, Network: r.Network}, figures, r.Figure)
		}
		for i := range d.Idle {
			r := &d.Idle[i]
			p.add(Row{Idle: true, Level: r.Level, SizeBytes: r.SizeBytes}, figures, r.Figure)
		}
	}
	return p
}

func (p *pool) add(row Row, figures []string, of func(string) (result.Figure, bool)) {
	if !slices.Contains(p.rows, row) {
		p.rows = append(p.rows, row)
	}
	for _, name := range figures {
		if f, ok := of(name); ok {
			at := cell{row, name}
			p.values[at] = append(p.values[at], f.Runs...)
		}
	}
}

// least returns the fewest runs that a figure has; 0 without figures.
func (p *pool) least() (n int) {
	for values := range maps.Values(p.values) {
		if n == 0 || len(values) < n {
			n = len(values)
		}
	}
	return n
}

// change compares each figure that both have.
func (p *pool) change(other *pool, figures []string) (c Change) {
	for _, row := range p.rows {
		if !slices.Contains(other.rows, row) {
			c.OnlyOld = append(c.OnlyOld, row.String())
		}
	}
	for _, row := range other.rows {
		if !slices.Contains(p.rows, row) {
			c.OnlyNew = append(c.OnlyNew, row.String())
		}
	}
	c.Figures = []Figure{}
	for _, name := range figures {
		for _, row := range p.rows {
			a, b := p.values[cell{row, name}], other.values[cell{row, name}]
			if len(a) == 0 || len(b) == 0 {
				continue
			}
			f := compare(a, b)
			f.Row, f.Figure = row, name
			c.Figures = append(c.Figures, f)
			c.Tested++
			if f.TooFew {
				c.TooFew++
			}
		}
	}
	return c
}

func compare(a, b []float64) Figure {
	test := stat.Compare(a, b)
	f := Figure{Old: side(a), New: side(b), P: test.P, Significant: test.Significant, TooFew: test.TooFew}
	if change := 100 * (f.New.Median/f.Old.Median - 1); !math.IsNaN(change) && !math.IsInf(change, 0) {
		f.ChangePct = &change
	}
	return f
}

func side(values []float64) Side {
	s := stat.Summarize(values)
	return Side{N: s.N, Median: s.Median, Interval: s.Interval}
}
