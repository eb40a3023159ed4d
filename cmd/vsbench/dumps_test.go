//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cohort/engine/recorder"
)

// recorded writes a recorder of two events, a second apart, to a file.
func recorded(t *testing.T, node string) string {
	t.Helper()
	r := recorder.New(recorder.Info{Node: node, Cluster: "orders", Started: 1}, recorder.Size)
	r.Add(recorder.Event{At: 1, Kind: recorder.View, View: 1, A: 2, B: 9, Text: "anna, bert"})
	r.Add(recorder.Event{At: 1_000_000_001, Kind: recorder.Blocked, View: 1, A: 2})
	path := filepath.Join(t.TempDir(), node+".jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := r.Dump(f, 2, "no-quorum"); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplayShowsDumps: of several nodes as one time line, all of it or its end.
func TestReplayShowsDumps(t *testing.T) {
	a, b := recorded(t, "anna"), recorded(t, "bert")
	status, stdout, stderr := vsbench("replay", a, b)
	if status != exitOK || strings.Count(stdout, "ENTERS VIEW 1 of 2: anna, bert") != 2 || strings.Count(stdout, "BLOCKED") != 2 {
		t.Errorf("exit status %d, standard output\n%s\nstandard error %s", status, stdout, stderr)
	}
	if strings.LastIndex(stdout, "ENTERS") > strings.Index(stdout, "BLOCKED") {
		t.Errorf("not in order of time:\n%s", stdout)
	}
	status, stdout, _ = vsbench("replay", "--last", "10ms", a)
	if status != exitOK || strings.Contains(stdout, "ENTERS") || !strings.Contains(stdout, "BLOCKED") {
		t.Errorf("the last 10 ms: exit status %d, standard output\n%s", status, stdout)
	}
}

func TestReplayRefusesWhatIsNoDump(t *testing.T) {
	status, _, stderr := vsbench("replay", "--last=-1s", recorded(t, "anna"))
	if status != exitUsage || !strings.Contains(stderr, "--last: -1s: want 0 or more") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	missing := filepath.Join(t.TempDir(), "none")
	if status, _, stderr = vsbench("replay", missing); status != exitUsage || !strings.Contains(stderr, missing) {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr = vsbench("replay", bad); status != exitUsage || !strings.Contains(stderr, bad+": recorder: not a dump of a flight recorder: line 1") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
}
