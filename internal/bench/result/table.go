package result

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"cohort/internal/bench/noise"
	"cohort/internal/bench/stat"
)

var heads = []string{"level", "size", "senders", "msgs/s", "±", "MB/s", "p50 µs", "±", "p99 µs", "±", "p99.9 µs", "load/s", "CPU µs/msg",
	"x fbcast", "x raw", "dropped", "retransmitted", "verified", "noise"}

// Table writes the run for people: how it was measured, a line per row, and a second table for the
// idle group if that was measured.
func (r *Run) Table(w io.Writer) error {
	s := &r.Settings
	how := ""
	if s.Transport == Fanout {
		how = ", by unicast to each"
	}
	if s.RecvBuffer > 0 {
		how += fmt.Sprintf(", receive buffers of %s", Bytes(s.RecvBuffer))
	}
	if s.Loss > 0 {
		how += fmt.Sprintf(", each member losing %.3g %% of the packets", 100*s.Loss)
	}
	fmt.Fprintf(w, "%d members on %s%s, %s of each row at full speed and as much at the load; delivered at the slowest member; latency %s\n%s\n",
		s.Members, s.Network, how, seconds(s.DurationS/2), r.timings(), s.ofRuns())
	t := newTable(w, heads)
	for i := range r.Rows {
		if i > 0 && (r.Rows[i].SizeBytes != r.Rows[i-1].SizeBytes || r.Rows[i].Senders != r.Rows[i-1].Senders) {
			t.line(make([]string, len(heads)))
		}
		t.line(r.Rows[i].cells())
	}
	if err := t.flush(); err != nil {
		return err
	}
	if len(r.Idle) > 0 {
		if err := r.idleTable(w); err != nil {
			return err
		}
	}
	if r.Targets != nil {
		return r.Targets.table(w)
	}
	return nil
}

func (r *Run) idleTable(w io.Writer) error {
	raw := "raw: plain blocking sockets"
	if r.Settings.Transport == Fanout || len(r.Hosts) > 0 {
		raw = "raw: as in the rows above"
	}
	fmt.Fprintf(w, "\none message at a time on an idle group, %s apart; %s\n\n", seconds(r.Settings.IdlePauseS), raw)
	t := newTable(w, []string{"level", "size", "p50 µs", "±", "p99 µs", "±", "x raw", "verified", "noise"})
	for i := range r.Idle {
		t.line(r.Idle[i].cells())
	}
	return t.flush()
}

// ofRuns says how many runs the figures are of, and what ± is.
func (s *Settings) ofRuns() string {
	if s.Runs < 2 {
		return ""
	}
	return fmt.Sprintf("figures are medians of %d runs; ± is how far the %.0f %% interval of the median reaches\n",
		s.Runs, 100*stat.Confident(s.Runs))
}

func (r *Row) cells() []string {
	spread := func(name string) string {
		f, _ := r.Figure(name)
		return f.Spread()
	}
	value := func(name string, write func(float64) string) string {
		f, ok := r.Figure(name)
		if !ok {
			return ""
		}
		return write(f.Value)
	}
	return []string{r.Level, Bytes(r.SizeBytes), strconv.Itoa(r.Senders), Count(r.MsgsPerS), spread("msgs_per_s"), amount(r.MBPerS),
		value("p50_us", micro), spread("p50_us"), value("p99_us", micro), spread("p99_us"), value("p999_us", micro), value("load_msgs_per_s", Count), amount(r.CPUUsPerMsg),
		times(r.RatioFbcast), times(r.RatioRaw), strconv.FormatUint(r.Dropped, 10), strconv.FormatUint(r.Retransmitted, 10),
		yes(r.Verified), loud(r.Noise)}
}

func (i *Idle) cells() []string {
	spread := func(name string) string {
		f, _ := i.Figure(name)
		return f.Spread()
	}
	return []string{i.Level, Bytes(i.SizeBytes), micro(i.P50Us), spread("p50_us"), micro(i.P99Us), spread("p99_us"),
		times(i.RatioToRaw), yes(i.Verified), loud(i.Noise)}
}

// Spread writes how far the interval reaches from the median, in percent; "" if there
// is none.
func (f Figure) Spread() string {
	if f.Interval == nil {
		return ""
	}
	return percent(f.Interval.Spread(f.Value))
}

// percent writes a part in percent.
func percent(part float64) string {
	if math.IsNaN(part) {
		return ""
	}
	return strconv.FormatFloat(100*part, 'f', 0, 64) + "%"
}

// loud writes what made a noisy machine so, "-" for a quiet one and "?" for one that
// does not tell.
func loud(n *noise.Noise) string {
	switch {
	case n == nil:
		return "?"
	case !n.Noisy:
		return "-"
	case n.StealPct > noise.StealLimit:
		return "steal " + percent(n.StealPct/100)
	case n.Cores.Moved():
		return "moved"
	}
	return "others " + percent(n.OthersPct/100)
}

// Aligned writes a table, its heads first: the first column aligned to the left, the
// others to the right.
func Aligned(w io.Writer, rows [][]string) error {
	t := newTable(w, rows[0])
	for _, cells := range rows[1:] {
		t.line(cells)
	}
	return t.flush()
}

// table aligns its columns: the first to the left, the others to the right.
type table struct {
	out   io.Writer
	text  strings.Builder
	tab   *tabwriter.Writer
	first int // width of the first column
	rows  [][]string
}

func newTable(w io.Writer, heads []string) *table {
	t := &table{out: w}
	t.line(heads)
	return t
}

func (t *table) line(cells []string) {
	t.first = max(t.first, len(cells[0]))
	t.rows = append(t.rows, cells)
}

func (t *table) flush() error {
	t.tab = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, cells := range t.rows {
		fmt.Fprintf(t.tab, "%-*s\t%s\t\n", t.first, cells[0], strings.Join(cells[1:], "\t"))
	}
	if err := t.tab.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(t.text.String()) {
		if _, err := fmt.Fprintln(t.out, strings.TrimRight(strings.TrimPrefix(line, "  "), " \n")); err != nil {
			return err
		}
	}
	return nil
}

// Count writes a number of things in at least three digits: 950, 12.3k, 4.56M.
func Count(n float64) string {
	switch {
	case n < 1e3:
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n < 1e6:
		return amount(n/1e3) + "k"
	}
	return amount(n/1e6) + "M"
}

// Things writes a number of things that are called so if they are one: 1 run, 2 runs.
func Things(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// amount writes a number in at least three digits.
func amount(v float64) string {
	switch {
	case v < 0.9995:
		return strconv.FormatFloat(v, 'f', 3, 64)
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func micro(us float64) string { return strconv.FormatFloat(us, 'f', 1, 64) }

func seconds(s float64) string {
	if s < 1 {
		return strconv.FormatFloat(s*1000, 'f', -1, 64) + " ms"
	}
	return strconv.FormatFloat(s, 'f', -1, 64) + " s"
}

// Bytes writes a size in the unit in which it is a whole number.
func Bytes(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " B"
}

func times(ratio *float64) string {
	if ratio == nil {
		return ""
	}
	return strconv.FormatFloat(*ratio, 'f', 2, 64)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-" // raw promises nothing that could be checked; any other level fails the run
}
