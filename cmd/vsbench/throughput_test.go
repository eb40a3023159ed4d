//go:build linux

package main

import "testing"

func TestThroughputSweeps(t *testing.T) {
	d := measured(t, "throughput", "--levels", "raw,cbcast", "--sizes", "16,31,65536", "--members", "2,3", "--senders", "1,3,all", "--duration", "20ms")
	// Of two members 1 and 2 send, of three 1 and 3.
	if len(d.Rows) != 2*2*3*2 || len(d.Members) != 3 {
		t.Fatalf("%d rows, %d members; want 24 and 3", len(d.Rows), len(d.Members))
	}
	seen := map[[2]float64]int{}
	for _, r := range d.Rows {
		seen[[2]float64{r["members"].(float64), r["senders"].(float64)}]++
		if r["verified"] != (r["level"] == "cbcast") || r["msgs_per_s"].(float64) <= 0 || r["cpu_us_per_msg"].(float64) <= 0 {
			t.Errorf("row %v", r)
		}
		if r["ratio_fbcast"] != nil || r["ratio_raw"] == nil || r["level"] == "raw" && r["ratio_raw"] != 1.0 {
			t.Errorf("%v of %v: ratios %v to fbcast, %v to raw", r["level"], r["size_bytes"], r["ratio_fbcast"], r["ratio_raw"])
		}
	}
	for _, want := range [][2]float64{{2, 1}, {2, 2}, {3, 1}, {3, 3}} {
		if seen[want] != 6 {
			t.Errorf("%d rows of %v members and senders, want 6: %v", seen[want], want, seen)
		}
	}
}
