package main

import (
	"strings"
	"testing"
)

// TestFullDiskDoesNotHideTheTable: what was measured is shown at least, if it cannot be kept.
func TestFullDiskDoesNotHideTheTable(t *testing.T) {
	old, next := results(t, "run", 100, 101, 102, 103, 104, 105), results(t, "run", 200, 202, 204, 206, 208, 210)
	status, stdout, stderr := vsbench("compare", "--figures", "msgs_per_s", "--json", "/dev/full", old, next)
	if status != exitFailed || !strings.Contains(stderr, "no space left on device") || strings.Contains(stderr, "results: /dev/full") {
		t.Errorf("exit status %d, standard error %q; want %d and why", status, stderr, exitFailed)
	}
	if !strings.Contains(stdout, "1 of 1 figure changed") {
		t.Errorf("standard output without the table: %q", stdout)
	}
}
