package result

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
)

// TestSummarize: figures are medians, counts are sums, ratios are within each run.
func TestSummarize(t *testing.T) {
	r := sample(t)
	row := r.Rows[1]
	if row.MsgsPerS != 4_935_617 || row.MemberRates[1] != 2*4_935_617 {
		t.Errorf("%v msgs/s, members' %v; want the median", row.MsgsPerS, row.MemberRates)
	}
	if row.Messages != 300 || row.Dropped != 3 || *row.KernelDropped != 6 || row.Retransmitted != 30 || row.Samples != 6 {
		t.Errorf("%d messages, %d and %d dropped, %d sent again, %d latencies; want the sums 300, 3, 6, 30, 6",
			row.Messages, row.Dropped, *row.KernelDropped, row.Retransmitted, row.Samples)
	}
	if p := row.Processes[0]; p.UserS != 3 || p.SystemS != 6 || p.Voluntary != 9 || p.Involuntary != 12 {
		t.Errorf("process %+v, want sums", p)
	}
	i, ok := row.Intervals["msgs_per_s"]
	if !ok || math.Abs(i.Lo-0.9*row.MsgsPerS) > 1 || math.Abs(i.Hi-1.1*row.MsgsPerS) > 1 || i.Confidence != 0.75 {
		t.Errorf("interval %+v of %v, want a tenth to both sides, three times of four", i, row.MsgsPerS)
	}
	// A slow run is slow for all levels: its ratio is that of the others.
	if i := row.Intervals["ratio_raw"]; math.Abs(i.Lo-0.5) > 1e-6 || math.Abs(i.Hi-0.5) > 1e-6 {
		t.Errorf("interval of the ratio %+v, want 0.5 alone", i)
	}
	if f, ok := row.Figure("p50_us"); !ok || f.Value != 33.3 || len(f.Runs) != 3 || f.Interval == nil {
		t.Errorf("p50 %+v", f)
	}
	if f, ok := r.Rows[3].Figure("ratio_raw"); ok {
		t.Errorf("a ratio that was not measured is %+v", f)
	}
	if f, ok := row.Figure("nonesuch"); ok {
		t.Errorf("no such figure is %+v", f)
	}
	if r.Rows[0].Noise.Noisy || !r.Rows[1].Noise.Noisy || r.Rows[2].Noise != nil || !r.Noise.Noisy || r.Noise.MeasuredS != 4 {
		t.Errorf("noise %+v, %+v, %+v; of all %+v", r.Rows[0].Noise, r.Rows[1].Noise, r.Rows[2].Noise, r.Noise)
	}
	r.Rows[1].Runs[2].Histogram = "garbled"
	if err := r.Summarize(); err == nil || !strings.Contains(err.Error(), "fbcast, 64 B, 1 sending") {
		t.Errorf("a garbled histogram: error %v, want one that says where", err)
	}
}

// TestWithoutALoad: a row that ended before its load shows no latency, neither for people nor in the
// document, and is read as it was written.
func TestWithoutALoad(t *testing.T) {
	r := sample(t)
	r.Settings.LoadMsgsPerS = 1000
	row := &r.Rows[1]
	for k := range row.Runs {
		row.Runs[k].Latency, row.Runs[k].LoadMsgsPerS = Latency{}, 0
	}
	if err := r.Summarize(); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseRun(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := back.Rows[1].Figure("p99_us"); ok || strings.Contains(table.String(), " 0.0 ") {
		t.Errorf("a latency that was not measured is there: %+v in\n%s", back.Rows[1].Latency, &table)
	}
	for _, name := range []string{"p50_us", "max_us", "latency_samples", "histogram", "load_msgs_per_s"} {
		if zero := regexp.MustCompile(fmt.Sprintf(`%q: (0|""),`, name)).FindString(string(b)); zero != "" {
			t.Errorf("not measured, and there: %s", zero)
		}
	}
}

func TestNotesWarn(t *testing.T) {
	notes := strings.Join(sample(t).Notes(), "\n")
	for _, want := range []string{
		"WARNING: noisy machine, these figures may be far off: other processes used 12 %",
		"WARNING: noise disturbed 1 of 4 rows",
		"the members' sockets have dropped 12 packets, all sockets where they meet 24",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes do not say %q:\n%s", want, notes)
		}
	}
}
