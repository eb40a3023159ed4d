package result

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cohort/internal/bench/kernel"
	"cohort/internal/bench/noise"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func encoded(t *testing.T, values ...int64) string {
	t.Helper()
	h := hdrhistogram.New(1, 60e9, 3)
	for _, v := range values {
		if err := h.RecordValue(v); err != nil {
			t.Fatal(err)
		}
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMergeOfMembersIsOneDistribution(t *testing.T) {
	var low, high, all []int64
	for i := range int64(1000) {
		low, high = append(low, 1000+i), append(high, 50_000+i*100)
	}
	all = slices.Concat(low, high)
	l, err := Merge([]string{encoded(t, low...), encoded(t), encoded(t, high...)})
	if err != nil {
		t.Fatal(err)
	}
	if l.Samples != 2000 {
		t.Errorf("%d samples, want 2000", l.Samples)
	}
	near := func(what string, got float64, ns int64) {
		if want := float64(ns) / 1000; math.Abs(got-want) > want/500 {
			t.Errorf("%s: %v µs, want %v", what, got, want)
		}
	}
	near("p50", l.P50Us, all[999])
	near("p99", l.P99Us, all[1979])
	near("p99.9", l.P999Us, all[1997])
	near("max", l.MaxUs, all[1999])
	if n := len(l.Percentiles); n < 50 {
		t.Errorf("%d percentiles, want several tens", n)
	}
	for i := 1; i < len(l.Percentiles); i++ {
		if a, b := l.Percentiles[i-1], l.Percentiles[i]; a.P >= b.P || a.Us > b.Us {
			t.Errorf("percentiles do not rise: %v, %v", a, b)
		}
	}
	if again, err := Merge([]string{l.Histogram}); err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("the histogram kept is another one: %v, error %v", again, err)
	}
}

func TestMergeRefusesWhatItCannotRead(t *testing.T) {
	for _, e := range [][]string{nil, {""}, {encoded(t, 1), "nonsense"}} {
		if l, err := Merge(e); err == nil {
			t.Errorf("%q gave %v, want an error", e, l)
		}
	}
}

// sample is a document of three runs: one as given, one a tenth slower and one a tenth faster.
func sample(t *testing.T) *Run {
	t.Helper()
	r := &Run{Schema: Schema, Command: CommandRun, Started: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC),
		Settings: Settings{Members: 3, Network: "loopback", Runs: 3, DurationS: 0.9, IdlePauseS: 0.002}}
	some := encoded(t, 1000, 2000)
	add := func(level string, size, senders int, rate, p50 float64, verified bool) {
		row := Row{Level: level, SizeBytes: size, Members: 3, Senders: senders, Network: "loopback", Verified: verified}
		for k, f := range []float64{1, 0.9, 1.1} {
			dropped := uint64(2)
			row.Runs = append(row.Runs, Pass{
				Speed: Speed{MsgsPerS: f * rate, MBPerS: f * rate * float64(size) / 1e6, CPUUsPerMsg: 2e6 / rate / f,
					MemberRates: []float64{f * rate, 2 * rate}, Messages: 100},
				Drops:        Drops{Dropped: uint64(k), KernelDropped: &dropped, Retransmitted: 10},
				LoadMsgsPerS: 10000, Latency: Latency{P50Us: p50 / f, P99Us: 9 * p50 * f, P999Us: 30 * p50, Histogram: some},
				Processes: []Process{{Rank: 0, UserS: 1, SystemS: 2, Voluntary: 3, Involuntary: 4}}})
		}
		r.Rows = append(r.Rows, row)
	}
	idle := func(level string, p50 float64, verified bool) {
		row := Idle{Level: level, SizeBytes: 64, Verified: verified}
		for _, f := range []float64{1, 0.9, 1.1} {
			row.Runs = append(row.Runs, IdlePass{Latency: Latency{P50Us: f * p50, P99Us: 3 * p50, Histogram: some}})
		}
		r.Idle = append(r.Idle, row)
	}
	add("raw", 64, 1, 9_871_234, 21.04, false)
	add("fbcast", 64, 1, 4_935_617, 33.3, true)
	add("safe-abcast", 64, 1, 987_123, 45.67, true)
	add("fbcast", 8192, 3, 950, 1234.5, true)
	r.Rows[3].Runs[0].Retransmitted = 123456
	// The other rows' machine does not tell.
	r.Rows[0].Runs[0].Span = noise.Span{Times: kernel.Times{Busy: time.Second, Idle: time.Second}, Own: time.Second}
	r.Rows[1].Runs[0].Span = noise.Span{Times: kernel.Times{Busy: time.Second, Idle: time.Second}, Own: time.Second / 2}
	idle("raw", 15, false)
	idle("abcast", 22.5, true)
	if err := r.Summarize(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTableIsAsItWas(t *testing.T) {
	var b strings.Builder
	if err := sample(t).Table(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "table.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestARatioIsNeverMadeUp(t *testing.T) {
	r := sample(t)
	if q := r.Rows[1].RatioRaw; q == nil || math.Abs(*q-0.5) > 1e-6 {
		t.Errorf("fbcast to raw at 64 B: %v, want 0.5", q)
	}
	if q := r.Rows[3].RatioRaw; q != nil {
		t.Errorf("fbcast to raw at 8 KiB: %v, but raw was not measured there", *q)
	}
	if q := r.Idle[1].RatioToRaw; q == nil || math.Abs(*q-1.5) > 1e-6 {
		t.Errorf("idle abcast to raw: %v, want 1.5", q)
	}
	r.Idle = r.Idle[1:]
	r.Idle[0].RatioToRaw = nil
	for k := range r.Idle[0].Runs {
		r.Idle[0].Runs[k].RatioToRaw = nil
	}
	if err := r.Summarize(); err != nil {
		t.Fatal(err)
	}
	if q := r.Idle[0].RatioToRaw; q != nil {
		t.Errorf("idle abcast to raw: %v, but raw was not measured", *q)
	}
}

// The names that scripts rely on.
func TestJSONNames(t *testing.T) {
	b, err := sample(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Rows []map[string]any `json:"rows"`
		Idle []map[string]any `json:"idle"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"level", "size_bytes", "members", "senders", "network", "msgs_per_s", "mb_per_s", "cpu_us_per_msg",
		"load_msgs_per_s", "p50_us", "p99_us", "p999_us", "dropped_packets", "retransmitted_packets", "verified", "percentiles",
		"intervals", "runs", "processes", "load_processes", "noise", "ratio_one_sender", "kernel_dropped_datagrams"} {
		if _, ok := doc.Rows[0][name]; !ok {
			t.Errorf("rows have no %q", name)
		}
	}
	for _, name := range []string{"level", "size_bytes", "p50_us", "p99_us", "ratio_to_raw", "intervals", "runs", "processes", "noise"} {
		if _, ok := doc.Idle[0][name]; !ok {
			t.Errorf("idle has no %q", name)
		}
	}
	if doc.Rows[0]["ratio_fbcast"] == nil || doc.Rows[3]["ratio_raw"] != nil {
		t.Errorf("ratios %v and %v, want a number and null", doc.Rows[0]["ratio_fbcast"], doc.Rows[3]["ratio_raw"])
	}
}

func TestWriteIsWholeOrNothing(t *testing.T) {
	r := sample(t)
	path := filepath.Join(t.TempDir(), "not", "there", "yet", filepath.Base(DefaultPath("run", r.Started)))
	if filepath.Base(path) != "run-20310203T040506Z.json" {
		t.Errorf("default name %s", path)
	}
	if err := Write(path, r); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !json.Valid(b) {
		t.Errorf("file of %d bytes, error %v", len(b), err)
	}
	if err := Write(filepath.Join(path, "x.json"), r); err == nil {
		t.Error("wrote into a file as if it were a folder")
	}
	r.ElapsedS = math.NaN() // cannot be encoded
	if err := Write(path, r); err == nil {
		t.Error("no error for what cannot be encoded")
	}
	if err := CanWrite(path); err != nil {
		t.Error(err)
	}
	if err := CanWrite(filepath.Join(path, "x.json")); err == nil {
		t.Error("could write into a file as if it were a folder")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left %v, error %v; want the one file", left, err)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(b) {
		t.Errorf("the failed write changed the file, error %v", err)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(950), "950"}, {Count(12_340), "12.3k"}, {Count(999_600), "1000k"}, {Count(4_560_000), "4.56M"},
		{amount(0.1234), "0.123"}, {amount(1.234), "1.23"}, {amount(12.34), "12.3"}, {amount(1234.5), "1234"},
		{Bytes(64), "64 B"}, {Bytes(1000), "1000 B"}, {Bytes(8192), "8 KiB"}, {Bytes(16 << 20), "16 MiB"},
		{seconds(0.45), "450 ms"}, {seconds(2), "2 s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
