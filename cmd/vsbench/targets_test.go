//go:build linux

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestMissesFailByChoice: one target that nobody can miss, one that nobody can meet, and
// one that is not measured.
func TestMissesFailByChoice(t *testing.T) {
	targets := writeFile(t, "t.toml", `
		[[target]]
		figure = "msgs_per_s"
		levels = ["fbcast"]
		at_least = 1
		[[target]]
		figure = "idle.p50_us"
		levels = ["fbcast"]
		at_most = 0.001
		[[target]]
		figure = "ratio_raw"
		levels = ["fbcast"]
		at_least = 0.5`)
	hdr := filepath.Join(t.TempDir(), "hdr")
	for _, c := range []struct {
		flag   []string
		status int
	}{{nil, exitOK}, {[]string{"--fail-on-miss"}, exitFailed}} {
		args := append([]string{"--levels=fbcast", "--sizes=64", "--senders=1", "--duration=40ms", "--json=-", "--hdr", hdr, "--targets", targets}, c.flag...)
		status, stdout, stderr := vsbench(args...)
		if status != c.status {
			t.Errorf("%q: exit status %d, want %d: %s", c.flag, status, c.status, stderr)
		}
		if missed := strings.HasSuffix(stderr, "vsbench: 1 of 3 targets were missed\n"); missed != (c.status == exitFailed) {
			t.Errorf("%q: standard error %s", c.flag, stderr)
		}
		if !strings.Contains(stderr, "1 met, 1 missed, 0 undecided, 1 not measured") {
			t.Errorf("%q: no targets in\n%s", c.flag, stderr)
		}
		d := parse(t, []byte(stdout)) // written whatever was missed
		if d.Targets["missed"] != 1.0 || d.Targets["source"] != targets {
			t.Errorf("%q: targets %v", c.flag, d.Targets)
		}
	}
	if logs, err := filepath.Glob(filepath.Join(hdr, "*")); err != nil || len(logs) < 3 {
		t.Errorf("histograms %q, error %v; want a log and two distributions", logs, err)
	}
}

func TestWrongTargets(t *testing.T) {
	bad := writeFile(t, "t.toml", "[[target]]\nfigure = \"ratio_raw\"\nlevels = 7\n")
	for _, c := range []struct{ path, says string }{{bad, "line 3"}, {bad + "x", "no such file"}} {
		status, stdout, stderr := vsbench("run", "--targets", c.path)
		if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "vsbench: --targets: ") || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit status %d, standard error %q; want one line with %q", c.path, status, stderr, c.says)
		}
	}
}
