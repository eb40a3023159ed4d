//go:build linux

package main

import "testing"

// measured runs a command with short settings and returns its document.
func measured(t *testing.T, command string, args ...string) document {
	t.Helper()
	status, stdout, stderr := vsbench(append([]string{command, "--json", "-"}, args...)...)
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	d := parse(t, []byte(stdout))
	if d.Schema != 1 || d.Command != command || d.ElapsedS <= 0 || d.Machine["cores"] == nil || d.Settings["network"] != "loopback" {
		t.Errorf("schema %d, command %q, %v s, machine %v, settings %v", d.Schema, d.Command, d.ElapsedS, d.Machine, d.Settings)
	}
	return d
}

func TestLatencyRisesToSaturation(t *testing.T) {
	d := measured(t, "latency", "--levels", "raw,abcast", "--members", "2", "--sizes", "64", "--duration", "40ms", "--points", "2,200")
	if len(d.Rows) != 4 || len(d.Members) != 2 {
		t.Fatalf("%d rows of %d members, want 4 of 2", len(d.Rows), len(d.Members))
	}
	for i, r := range d.Rows {
		top, offered, percent := r["saturation_msgs_per_s"].(float64), r["offered_msgs_per_s"].(float64), r["percent_of_saturation"].(float64)
		if want := top * percent / 100; percent != []float64{2, 200}[i%2] || offered < want*0.95 || offered > want*1.2 {
			t.Errorf("row %d: %v %% of %v is %v", i, percent, top, offered)
		}
		if r["verified"] != (r["level"] == "abcast") || r["p50_us"].(float64) <= 0 || r["p90_us"].(float64) < r["p50_us"].(float64) {
			t.Errorf("row %v", r)
		}
		if r["flood_msgs_per_s"].(float64) < top || r["achieved_msgs_per_s"].(float64) <= 0 {
			t.Errorf("row %d: %v of a flood, %v saturated, %v achieved", i, r["flood_msgs_per_s"], top, r["achieved_msgs_per_s"])
		}
	}
}

func TestLatencyAtGivenLoads(t *testing.T) {
	d := measured(t, "latency", "--levels", "fbcast", "--members", "2", "--senders", "2", "--sizes", "64", "--duration", "20ms", "--loads", "100,1000")
	if len(d.Rows) != 2 {
		t.Fatalf("%d rows, want 2", len(d.Rows))
	}
	for i, r := range d.Rows {
		// A point of 20 ms at 100/s would have been of two messages.
		if r["percent_of_saturation"] != nil || r["offered_msgs_per_s"] != []float64{100, 1000}[i] || r["messages"] != 20.0 || r["latency_samples"] != 20.0 {
			t.Errorf("row %v", r)
		}
	}
}
