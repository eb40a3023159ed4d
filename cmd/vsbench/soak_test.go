//go:build linux

package main

import (
	"os"
	"testing"
)

func TestSoakTakesFiguresPerInterval(t *testing.T) {
	d := measured(t, "soak", "--levels", "raw,safe-abcast", "--members", "2", "--senders", "2", "--size", "64", "--duration", "300ms", "--interval", "100ms", "--load", "5")
	if len(d.Rows) != 6 || len(d.Health) != 6 || len(d.Totals) != 2 || d.Interrupted {
		t.Fatalf("%d rows, %d of health, %d totals, interrupted %v; want 6, 6, 2", len(d.Rows), len(d.Health), len(d.Totals), d.Interrupted)
	}
	messages := map[any]float64{}
	for i, r := range d.Rows {
		if r["interval"] != float64(i/2) || r["verified"] != (r["level"] == "safe-abcast") || r["p50_us"].(float64) <= 0 || r["msgs_per_s"].(float64) <= 0 {
			t.Errorf("row %v", r)
		}
		messages[r["level"]] += r["messages"].(float64)
	}
	for _, l := range d.Totals {
		if l["messages"] != messages[l["level"]] || l["latency_samples"].(float64) <= 0 {
			t.Errorf("%v: %v messages and %v latencies in all, want %v messages", l["level"], l["messages"], l["latency_samples"], messages[l["level"]])
		}
	}
	for _, h := range d.Health {
		if h["rss_bytes"].(float64) < 1<<20 || h["goroutines"].(float64) < 2 || h["open_files"].(float64) < 3 {
			t.Errorf("health %v", h)
		}
	}
	for _, x := range d.Drift {
		if x["verdict"] != "too short" {
			t.Errorf("drift %v of three intervals", x)
		}
	}
}

// TestSoakInterrupted: what was measured is written.
func TestSoakInterrupted(t *testing.T) {
	d := interrupted(t, os.Interrupt, "soak", "--levels", "abcast", "--members", "2", "--senders", "1", "--size", "64", "--interval", "100ms", "--duration", "1h")
	if d.Command != "soak" || !d.Interrupted || len(d.Rows) < 3 || len(d.Drift) == 0 || d.Rows[0]["verified"] != true {
		t.Errorf("command %q, interrupted %v, %d rows, %d of drift", d.Command, d.Interrupted, len(d.Rows), len(d.Drift))
	}
}
