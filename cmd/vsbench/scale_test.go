//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestScaleOfMembersAndGroups(t *testing.T) {
	d := measured(t, "scale", "--levels", "raw,abcast", "--members", "4,2", "--groups", "1,40", "--group-members", "2", "--size", "64", "--duration", "40ms")
	if len(d.Rows) != 4 || len(d.Groups) != 2 || len(d.Members) != 4 {
		t.Fatalf("%d rows, %d of groups, %d members; want 4, 2, 4", len(d.Rows), len(d.Groups), len(d.Members))
	}
	for i, r := range d.Rows {
		if r["members"] != []float64{4, 4, 2, 2}[i] || r["verified"] != (r["level"] == "abcast") || r["p50_us"].(float64) <= 0 {
			t.Errorf("row %v", r)
		}
		if got, want := r["cpu_us_per_delivery"].(float64), r["cpu_us_per_msg"].(float64)/r["members"].(float64); got != want {
			t.Errorf("CPU %v µs per delivery, want %v", got, want)
		}
	}
	for i, g := range d.Groups {
		if g["level"] != "abcast" || g["groups"] != []float64{1, 40}[i] || g["joins"] != []float64{0, 39}[i] || g["verified"] != true || g["limited"] != false {
			t.Errorf("groups %v", g)
		}
		if g["msgs_per_s"].(float64) <= 0 || g["ratio_cpu_fewest"].(float64) <= 0 || (g["join_us_each"].(float64) > 0) != (i > 0) {
			t.Errorf("groups %v", g)
		}
	}
}

// TestScaleEndsWhenJoiningTakesTooLong: and says what it reached.
func TestScaleEndsWhenJoiningTakesTooLong(t *testing.T) {
	d := measured(t, "scale", "--levels", "fbcast", "--members", "0", "--groups", "50000,100000", "--group-members", "2", "--join-limit", "20ms", "--duration", "20ms")
	if d.Rows == nil || len(d.Rows) != 0 || len(d.Groups) != 1 {
		t.Fatalf("%d rows, %d of groups; want a list of none, and 1", len(d.Rows), len(d.Groups))
	}
	if g := d.Groups[0]; g["limited"] != true || g["groups_asked"] != 50000.0 || g["groups"].(float64) < 2 || g["groups"].(float64) >= 50000 || g["verified"] != true {
		t.Errorf("groups %v", g)
	}
}

func TestScaleHasSomethingToMeasure(t *testing.T) {
	if status, _, stderr := vsbench("scale", "--members", "0", "--groups", "0"); status != exitUsage || !strings.Contains(stderr, "nothing to measure") {
		t.Errorf("exit status %d, standard error %q", status, stderr)
	}
}
