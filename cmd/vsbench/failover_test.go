//go:build linux

package main

import (
	"errors"
	"strings"
	"testing"

	"cohort/internal/netlab"
)

// failoverRows runs failover and returns its rows by fault.
func failoverRows(t *testing.T, args ...string) (rows map[string]map[string]any, stderr string) {
	t.Helper()
	status, stdout, stderr := vsbench(append([]string{"failover", "--json", "-"}, args...)...)
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	d := parse(t, []byte(stdout))
	if d.Schema != 1 || d.Command != "failover" || d.Settings["timeout_ms"] == nil {
		t.Errorf("schema %d, command %q, settings %v", d.Schema, d.Command, d.Settings)
	}
	rows = map[string]map[string]any{}
	for _, r := range d.Rows {
		rows[r["fault"].(string)] = r
		if r["verified"] != true || r["members"] != 3.0 || r["kills"] != 1.0 {
			t.Errorf("row %v", r)
		}
		for _, what := range []string{"gap", "view", "recovered", "back"} {
			if least, p50 := r[what+"_min_ms"].(float64), r[what+"_p50_ms"].(float64); !(0 < least && least <= p50) {
				t.Errorf("%v: %s is %v at least, %v in the middle", r["fault"], what, least, p50)
			}
			if p99, most := r[what+"_p99_ms"].(float64), r[what+"_max_ms"].(float64); p99 > most {
				t.Errorf("%v: %s has p99 %v and a maximum of %v", r["fault"], what, p99, most)
			}
		}
	}
	return rows, stderr
}

// TestFailoverOnLoopback kills, stops and adds real processes.
func TestFailoverOnLoopback(t *testing.T) {
	rows, stderr := failoverRows(t, "--kills", "1", "--rate", "500", "--state", "1048576", "--timeout", "2s")
	if len(rows) != 5 || rows["partition"] != nil {
		t.Errorf("rows %v, want all but partition", rows)
	}
	for _, want := range []string{"partition is skipped: on loopback", "[5/5] join: gap at most", "recovered p50"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error does not say %q:\n%s", want, stderr)
		}
	}
	if view := rows["silent-host"]["view_min_ms"].(float64); view < 1500 { // it was last heard up to a quarter before
		t.Errorf("a silent host was taken for dead after %v ms, with a timeout of two", view)
	}
	for _, fault := range []string{"kill-leader", "kill-member", "kill-token-holder"} {
		if view := rows[fault]["view_max_ms"].(float64); view > 1500 {
			t.Errorf("%s: seen after %v ms, want long before the timeout of two", fault, view)
		}
	}
	if rows["join"]["samples"] != 3.0 || rows["kill-leader"]["samples"] != 2.0 {
		t.Errorf("samples: %v of join, %v of kill-leader; want one of each other member", rows["join"]["samples"], rows["kill-leader"]["samples"])
	}
}

// TestFailoverSkipsWhatCannotBe: and that is no failure, as long as something else can.
func TestFailoverSkipsWhatCannotBe(t *testing.T) {
	if rows, stderr := failoverRows(t, "--faults", "partition,kill-member", "--kills", "1"); len(rows) != 1 || !strings.Contains(stderr, "partition is skipped") {
		t.Errorf("rows %v, standard error %s", rows, stderr)
	}
}

// TestFailoverInNamespaces pulls cables.
func TestFailoverInNamespaces(t *testing.T) {
	lab, err := netlab.New(1, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	rows, _ := failoverRows(t, "--network", "netns", "--kills", "1", "--rate", "500", "--timeout", "2s", "--faults", "silent-host,partition")
	for _, fault := range []string{"silent-host", "partition"} {
		if r := rows[fault]; r == nil || r["network"] != "netns" || r["view_min_ms"].(float64) < 1500 {
			t.Errorf("%s: %v", fault, r)
		}
	}
}
