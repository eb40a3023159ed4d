package result

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func millis(from, to int) (list []time.Duration) {
	for i := from; i <= to; i++ {
		list = append(list, time.Duration(i)*time.Millisecond)
	}
	return list
}

func TestFaultIsSummarized(t *testing.T) {
	f := Fault{Fault: "kill-leader"}
	if err := f.Fill(Times{Gap: millis(1, 100), View: millis(101, 200), Recovered: millis(10, 10), Back: millis(5, 5), Timeline: [][]float64{{1, 0.9, 0}, {1, 1.1}, {1, 1}}}, 10); err != nil {
		t.Fatal(err)
	}
	if want := []Moment{{AtMs: -100, Samples: 3, Min: 1, P50: 1, Max: 1}, {AtMs: -90, Samples: 3, Min: 0.9, P50: 1, Max: 1.1}}; !slices.Equal(f.Timeline, want) {
		t.Errorf("timeline %v, want %v: what one of three reaches alone is left out", f.Timeline, want)
	}
	near := func(name string, got, want float64) {
		if got < want*0.998 || got > want*1.002 { // three digits
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"gap min", f.GapMin, 1}, {"gap p50", f.GapP50, 50}, {"gap p99", f.GapP99, 99}, {"gap max", f.GapMax, 100},
		{"view p50", f.ViewP50, 150}, {"view p99", f.ViewP99, 199},
		{"recovered p50", f.RecoveredP50, 10}, {"back max", f.BackMax, 5},
	} {
		near(c.name, c.got, c.want)
	}
	if f.Samples != 100 {
		t.Errorf("%d samples, want 100", f.Samples)
	}
	if err := f.Fill(Times{Gap: millis(1, 2)}, 10); err == nil || !strings.Contains(err.Error(), "kill-leader") {
		t.Errorf("views that were not measured: %v", err)
	}
}

func TestFailoverTable(t *testing.T) {
	r := &Failover{Settings: FailoverSettings{Members: 3, Network: "loopback", RateMsgsPerS: 2000, SizeBytes: 1024, TimeoutMs: 500},
		Rows: []Fault{{Fault: "silent-host", Kills: 7, GapP50: 503.21, ViewMax: 519.97, Verified: true}}}
	var b strings.Builder
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2.00k abcasts of 1 KiB", "timeout 500 ms", "gap p50", "silent-host", "503.2", "520.0", "yes"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
