package main

import (
	"strings"
	"testing"
)

// TestFullDiskDoesNotHideTheTable: what was measured is shown at least, if it cannot be kept.
// TestUnwritableIsAWrongFlag: the error names the flag and its value, before anything is measured.
func TestUnwritableIsAWrongFlag(t *testing.T) {
	dir, file := t.TempDir(), writeFile(t, "f", "")
	for _, c := range []struct{ args, says string }{
		{"run --json " + dir, "--json: " + dir + ": is a directory: want a file"},
		{"failover --faults join --json " + dir + "/new/", "--json: " + dir + "/new/: is the name of a directory: want a file"},
		{"latency --json /proc/x.json", "--json: /proc/x.json: cannot be written: no such file or directory: want a file"},
		{"doctor --interface lo --json " + file + "/x.json", "--json: " + file + "/x.json: cannot be written: not a directory: want a file"},
		{"run --hdr " + file, "--hdr: " + file + "/run.hlog: cannot be written: not a directory: want a folder"},
	} {
		status, stdout, stderr := vsbench(strings.Fields(c.args)...)
		if status != exitUsage || stdout != "" || stderr != "vsbench: "+c.says+"\n" {
			t.Errorf("%s: exit status %d, standard error %.300q; want %d and %q", c.args, status, stderr, exitUsage, c.says)
		}
	}
}

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
