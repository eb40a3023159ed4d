// Package hdrlog writes latencies in the files that HdrHistogram's tools read.
package hdrlog

import (
	"bytes"
	"fmt"
	"path/filepath"
	"time"

	"cohort/internal/bench/result"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	ticks     = 5    // points of a distribution for each halving of what is left, as is usual
	nsPerUnit = 1000 // distributions are in µs
)

// row is what one line of a log, and one distribution, has in common with another.
type row struct {
	tag    string
	all    string // histogram of all runs
	runs   []string
	starts []float64 // seconds after the start
	length time.Duration
}

// Write writes the latencies of a run into a folder, which it makes if there is none, each file whole or not at all:
// a log with a line for each run of each row, its tag the row's name, and a file of
// each row's distribution over all runs, in µs, with that name.
func Write(dir string, r *result.Run) error {
	var log bytes.Buffer
	w := hdrhistogram.NewHistogramLogWriter(&log)
	start := r.Started.UnixMilli()
	w.SetBaseTime(start)
	for _, err := range []error{
		w.OutputComment("[Logged by vsbench; latencies in ns, maxima in ms]"), w.OutputLogFormatVersion(),
		w.OutputStartTime(start), w.OutputLegend(),
	} {
		if err != nil {
			return fmt.Errorf("histograms: %w", err)
		}
	}
	for _, x := range rows(r) {
		if err := x.log(w, start); err != nil {
			return fmt.Errorf("histograms: %s: %w", x.tag, err)
		}
		if err := x.distribution(filepath.Join(dir, x.tag+".hgrm")); err != nil {
			return fmt.Errorf("histograms: %s: %w", x.tag, err)
		}
	}
	name := filepath.Base(result.DefaultPath(result.CommandRun, r.Started))
	name = name[:len(name)-len(filepath.Ext(name))] + ".hlog"
	if err := result.WriteFile(filepath.Join(dir, name), log.Bytes()); err != nil {
		return fmt.Errorf("histograms: %w", err)
	}
	return nil
}

// rows returns everything that has latencies, and leaves out what ended before the load.
func rows(r *result.Run) (all []row) {
	half := time.Duration(r.Settings.DurationS / 2 / float64(max(r.Settings.Runs, 1)) * float64(time.Second))
	for i := range r.Rows {
		from := &r.Rows[i]
		x := row{tag: fmt.Sprintf("%s-%dB-%d", from.Level, from.SizeBytes, from.Senders), all: from.Histogram, length: half}
		for _, p := range from.Runs {
			if p.Histogram != "" {
				x.runs, x.starts = append(x.runs, p.Histogram), append(x.starts, p.StartS)
			}
		}
		if len(x.runs) > 0 {
			all = append(all, x)
		}
	}
	for i := range r.Idle {
		from := &r.Idle[i]
		x := row{tag: fmt.Sprintf("idle-%s-%dB", from.Level, from.SizeBytes), all: from.Histogram}
		x.length = time.Duration(r.Settings.IdlePauseS * float64(r.Settings.IdleMessages) / float64(max(r.Settings.Runs, 1)) * float64(time.Second))
		for _, p := range from.Runs {
			x.runs, x.starts = append(x.runs, p.Histogram), append(x.starts, p.StartS)
		}
		all = append(all, x)
	}
	return all
}

// log writes a line for each run. start is that of the log, ms since 1970.
func (x *row) log(w *hdrhistogram.HistogramLogWriter, start int64) error {
	for k, encoded := range x.runs {
		h, err := hdrhistogram.Decode([]byte(encoded))
		if err != nil {
			return err
		}
		began := start + int64(1000*x.starts[k])
		h.SetTag(x.tag)
		h.SetStartTimeMs(began)
		h.SetEndTimeMs(began + x.length.Milliseconds())
		if err := w.OutputIntervalHistogram(h); err != nil {
			return err
		}
	}
	return nil
}

func (x *row) distribution(path string) error {
	h, err := hdrhistogram.Decode([]byte(x.all))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := h.PercentilesPrint(&b, ticks, nsPerUnit); err != nil {
		return err
	}
	return result.WriteFile(path, b.Bytes())
}
