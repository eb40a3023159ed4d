package result

import (
	"fmt"
	"slices"

	"cohort/internal/bench/noise"
	"cohort/internal/bench/stat"
)

// Measured leaves out the rows that have no run, and returns how many are left.
func (r *Run) Measured() int {
	r.Rows = slices.DeleteFunc(r.Rows, func(row Row) bool { return len(row.Runs) == 0 })
	r.Idle = slices.DeleteFunc(r.Idle, func(i Idle) bool { return len(i.Runs) == 0 })
	return len(r.Rows) + len(r.Idle)
}

// Summarize fills in what the runs of each row tell together: medians and their
// intervals, sums, one distribution of all latencies, the noise. The runs' ratios
// come first. It returns an error if a run's histogram cannot be read.
func (r *Run) Summarize() error {
	r.ratios()
	var all noise.Span
	for i := range r.Rows {
		row := &r.Rows[i]
		if err := row.summarize(); err != nil {
			return fmt.Errorf("%s, %s, %d sending: %w", row.Level, Bytes(row.SizeBytes), row.Senders, err)
		}
		all = all.Add(spanOf(row.Runs, func(p *Pass) noise.Span { return p.Span }))
	}
	for i := range r.Idle {
		idle := &r.Idle[i]
		if err := idle.summarize(); err != nil {
			return fmt.Errorf("%s on an idle group: %w", idle.Level, err)
		}
		all = all.Add(spanOf(idle.Runs, func(p *IdlePass) noise.Span { return p.Span }))
	}
	r.Noise = noise.Judge(all)
	return nil
}

func (r *Row) summarize() (err error) {
	var histograms []string
	r.Messages, r.Lost, r.Drops = 0, 0, Drops{}
	r.Processes, r.LoadProcesses = nil, nil
	for _, p := range r.Runs {
		r.Messages, r.Lost = r.Messages+p.Messages, r.Lost+p.Lost
		r.Drops = r.Drops.Add(p.Drops)
		r.Processes = addProcesses(r.Processes, p.Processes)
		r.LoadProcesses = addProcesses(r.LoadProcesses, p.LoadProcesses)
		if p.Histogram != "" { // it got as far as the load
			histograms = append(histograms, p.Histogram)
		}
	}
	r.Latency, r.LoadMsgsPerS = Latency{}, 0
	if len(histograms) > 0 {
		if r.Latency, err = Merge(histograms); err != nil {
			return err
		}
	}
	r.MemberRates = memberRates(r.Runs)
	r.Intervals = summarize(rowFigures, r, r.Runs)
	r.Noise = noise.Judge(spanOf(r.Runs, func(p *Pass) noise.Span { return p.Span }))
	return nil
}

func (i *Idle) summarize() (err error) {
	var histograms []string
	i.Processes = nil
	for _, p := range i.Runs {
		i.Processes = addProcesses(i.Processes, p.Processes)
		histograms = append(histograms, p.Histogram)
	}
	if i.Latency, err = Merge(histograms); err != nil {
		return err
	}
	i.Intervals = summarize(idleFigures, i, i.Runs)
	i.Noise = noise.Judge(spanOf(i.Runs, func(p *IdlePass) noise.Span { return p.Span }))
	return nil
}

// memberRates returns the median of each member's rate.
func memberRates(runs []Pass) (rates []float64) {
	for m := range runs[0].MemberRates {
		var values []float64
		for _, p := range runs {
			if m < len(p.MemberRates) {
				values = append(values, p.MemberRates[m])
			}
		}
		rates = append(rates, stat.Summarize(values).Median)
	}
	return rates
}

func spanOf[P any](runs []P, of func(*P) noise.Span) (sum noise.Span) {
	for i := range runs {
		sum = sum.Add(of(&runs[i]))
	}
	return sum
}
