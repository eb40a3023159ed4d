package hdrlog

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cohort/internal/bench/result"

	"github.com/HdrHistogram/hdrhistogram-go"
)

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

func sample(t *testing.T) *result.Run {
	r := &result.Run{Started: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC), Settings: result.Settings{Runs: 2, DurationS: 0.4, IdlePauseS: 0.002, IdleMessages: 300}}
	row := result.Row{Level: "abcast", SizeBytes: 1024, Senders: 1}
	row.Runs = []result.Pass{
		{StartS: 1.5, Latency: result.Latency{Histogram: encoded(t, 1000, 2000)}},
		{StartS: 7, Latency: result.Latency{Histogram: encoded(t, 5_000_000)}},
	}
	idle := result.Idle{Level: "raw", SizeBytes: 64, Runs: []result.IdlePass{{StartS: 9, Latency: result.Latency{Histogram: encoded(t, 300)}}}}
	r.Rows, r.Idle = []result.Row{row}, []result.Idle{idle}
	if err := r.Summarize(); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLogIsRead reads the log as others would.
func TestLogIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := Write(dir, sample(t)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "run-20310203T040506Z.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reader := hdrhistogram.NewHistogramLogReader(f)
	for _, want := range []struct {
		tag   string
		count int64
		max   float64
	}{{"abcast-1024B-1", 2, 2000}, {"abcast-1024B-1", 1, 5_000_000}, {"idle-raw-64B", 1, 300}} {
		h, err := reader.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("%s: error %v", want.tag, err)
		}
		if h.Tag() != want.tag || h.TotalCount() != want.count || math.Abs(float64(h.Max())-want.max) > want.max/500 {
			t.Errorf("%q: %d values up to %d; want %+v", h.Tag(), h.TotalCount(), h.Max(), want)
		}
		if h.EndTimeMs() <= h.StartTimeMs() {
			t.Errorf("%q: from %d to %d ms", h.Tag(), h.StartTimeMs(), h.EndTimeMs())
		}
	}
	if h, err := reader.NextIntervalHistogram(); err != nil || h != nil {
		t.Errorf("one more: %v, error %v", h, err)
	}
}

func TestDistributionIsOfAllRuns(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, sample(t)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "abcast-1024B-1.hgrm"))
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); !strings.Contains(s, "1/(1-Percentile)") || !strings.Contains(s, "Total count    =            3]") || !strings.Contains(s, "#[Max     =     5001") {
		t.Errorf("distribution in µs:\n%s", s)
	}
}

func TestGarbledHistogramIsNamed(t *testing.T) {
	r := sample(t)
	r.Rows[0].Runs[1].Histogram = "garbled"
	if err := Write(t.TempDir(), r); err == nil || !strings.Contains(err.Error(), "abcast-1024B-1") {
		t.Errorf("error %v, want one that names the row", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, sample(t)); err == nil {
		t.Error("wrote into a file as if it were a folder")
	}
}
