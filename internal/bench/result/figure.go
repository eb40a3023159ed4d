package result

import "cohort/internal/bench/stat"

// Figure is one number of a row and what its runs say about it.
type Figure struct {
	Value    float64        // the median of the runs
	Interval *stat.Interval // nil with fewer than two runs
	Runs     []float64      // at least one
}

// figure is how to get at a number that rows R and their runs P have.
type figure[R, P any] struct {
	name string // in the document
	of   func(*P) *float64
	get  func(*R) *float64 // nil if it was not measured
	set  func(*R, float64)
}

var rowFigures = []figure[Row, Pass]{
	{"msgs_per_s", func(p *Pass) *float64 { return &p.MsgsPerS }, func(r *Row) *float64 { return &r.MsgsPerS }, func(r *Row, v float64) { r.MsgsPerS = v }},
	{"mb_per_s", func(p *Pass) *float64 { return &p.MBPerS }, func(r *Row) *float64 { return &r.MBPerS }, func(r *Row, v float64) { r.MBPerS = v }},
	{"cpu_us_per_msg", func(p *Pass) *float64 { return &p.CPUUsPerMsg }, func(r *Row) *float64 { return &r.CPUUsPerMsg }, func(r *Row, v float64) { r.CPUUsPerMsg = v }},
	{"p50_us", func(p *Pass) *float64 { return measured(&p.P50Us) }, func(r *Row) *float64 { return measured(&r.P50Us) }, func(r *Row, v float64) { r.P50Us = v }},
	{"p99_us", func(p *Pass) *float64 { return measured(&p.P99Us) }, func(r *Row) *float64 { return measured(&r.P99Us) }, func(r *Row, v float64) { r.P99Us = v }},
	{"p999_us", func(p *Pass) *float64 { return measured(&p.P999Us) }, func(r *Row) *float64 { return measured(&r.P999Us) }, func(r *Row, v float64) { r.P999Us = v }},
	{"load_msgs_per_s", func(p *Pass) *float64 { return measured(&p.LoadMsgsPerS) }, func(r *Row) *float64 { return measured(&r.LoadMsgsPerS) }, func(r *Row, v float64) { r.LoadMsgsPerS = v }},
	{"ratio_fbcast", func(p *Pass) *float64 { return p.RatioFbcast }, func(r *Row) *float64 { return r.RatioFbcast }, func(r *Row, v float64) { r.RatioFbcast = &v }},
	{"ratio_raw", func(p *Pass) *float64 { return p.RatioRaw }, func(r *Row) *float64 { return r.RatioRaw }, func(r *Row, v float64) { r.RatioRaw = &v }},
	{"ratio_one_sender", func(p *Pass) *float64 { return p.RatioOneSender }, func(r *Row) *float64 { return r.RatioOneSender }, func(r *Row, v float64) { r.RatioOneSender = &v }},
}

// measured returns a figure of the load; nil if the row or run did not get that far.
func measured(v *float64) *float64 {
	if *v == 0 {
		return nil
	}
	return v
}

var idleFigures = []figure[Idle, IdlePass]{
	{"p50_us", func(p *IdlePass) *float64 { return &p.P50Us }, func(r *Idle) *float64 { return &r.P50Us }, func(r *Idle, v float64) { r.P50Us = v }},
	{"p99_us", func(p *IdlePass) *float64 { return &p.P99Us }, func(r *Idle) *float64 { return &r.P99Us }, func(r *Idle, v float64) { r.P99Us = v }},
	{"p999_us", func(p *IdlePass) *float64 { return &p.P999Us }, func(r *Idle) *float64 { return &r.P999Us }, func(r *Idle, v float64) { r.P999Us = v }},
	{"ratio_to_raw", func(p *IdlePass) *float64 { return p.RatioToRaw }, func(r *Idle) *float64 { return r.RatioToRaw }, func(r *Idle, v float64) { r.RatioToRaw = &v }},
}

// RowFigures returns the names that Figure of a Row knows.
func RowFigures() []string { return names(rowFigures) }

// IdleFigures returns the names that Figure of an Idle knows.
func IdleFigures() []string { return names(idleFigures) }

// Figure returns the figure of that name, as the document names it. It returns
// false if there is none of that name, or it was not measured.
func (r *Row) Figure(name string) (Figure, bool) {
	return find(rowFigures, name, r, r.Runs, r.Intervals)
}

// Figure returns the figure of that name, as that of a Row does.
func (i *Idle) Figure(name string) (Figure, bool) {
	return find(idleFigures, name, i, i.Runs, i.Intervals)
}

func names[R, P any](figures []figure[R, P]) (names []string) {
	for _, f := range figures {
		names = append(names, f.name)
	}
	return names
}

func find[R, P any](figures []figure[R, P], name string, row *R, runs []P, intervals map[string]stat.Interval) (f Figure, ok bool) {
	for _, g := range figures {
		v := g.get(row)
		if g.name != name || v == nil {
			continue
		}
		f = Figure{Value: *v, Runs: g.values(runs)}
		if len(f.Runs) == 0 { // a document of before there were several
			f.Runs = []float64{*v}
		}
		if i, ok := intervals[name]; ok {
			f.Interval = &i
		}
		return f, true
	}
	return f, false
}

// values returns the figure of each run that measured it.
func (f *figure[R, P]) values(runs []P) (values []float64) {
	for i := range runs {
		if v := f.of(&runs[i]); v != nil {
			values = append(values, *v)
		}
	}
	return values
}

// summarize puts the medians of the runs into the row, and returns their intervals.
func summarize[R, P any](figures []figure[R, P], row *R, runs []P) map[string]stat.Interval {
	intervals := map[string]stat.Interval{}
	for i := range figures {
		s := stat.Summarize(figures[i].values(runs))
		if s.N > 0 {
			figures[i].set(row, s.Median)
		}
		if s.Interval != nil {
			intervals[figures[i].name] = *s.Interval
		}
	}
	return intervals
}
