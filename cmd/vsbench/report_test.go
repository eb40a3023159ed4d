package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "failover.json")
	text := `{"schema":1,"command":"failover","rows":[{"fault":"kill-leader","gap_min_ms":1,"gap_p50_ms":2,"gap_p99_ms":3,"gap_max_ms":4}]}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for out, page := range map[string]string{"folder": "folder/report.html", "other/a.html": "other/a.html"} {
		var stdout, stderr strings.Builder
		page = filepath.Join(dir, page)
		status := execute([]string{"report", path, "--out", filepath.Join(dir, out)}, nil, &stdout, &stderr)
		if status != exitOK || !strings.Contains(stdout.String(), page) {
			t.Fatalf("status %d, %q, %q; want the page's name", status, stdout.String(), stderr.String())
		}
		for _, file := range []string{page, filepath.Join(filepath.Dir(page), "failover-timeline.svg")} {
			if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "<svg") {
				t.Errorf("%s has %d bytes and no picture, error %v", file, len(b), err)
			}
		}
	}
	var stdout, stderr strings.Builder
	if status := execute([]string{"report", path, dir + "/./failover.json", "--out", dir}, nil, &stdout, &stderr); status != exitUsage || !strings.Contains(stderr.String(), "failover.json is there twice") {
		t.Errorf("one file twice: status %d, %q", status, stderr.String())
	}
}

// TestReportCountsItsFigures as one says it.
func TestReportCountsItsFigures(t *testing.T) {
	dir := t.TempDir()
	for says, text := range map[string]string{
		"and 1 figure as SVG beside it":  `{"schema":1,"command":"run","rows":[{"level":"raw","msgs_per_s":4}]}`,
		"and 2 figures as SVG beside it": `{"schema":1,"command":"failover","rows":[{"fault":"join","gap_min_ms":1,"gap_p50_ms":2,"gap_p99_ms":3,"gap_max_ms":4}]}`,
	} {
		path := filepath.Join(dir, "r.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr strings.Builder
		if status := execute([]string{"report", path, "--out", dir}, nil, &stdout, &stderr); status != exitOK || !strings.Contains(stdout.String(), says) {
			t.Errorf("status %d, %q, %q; want %q", status, stdout.String(), stderr.String(), says)
		}
	}
}

func TestReportOfFilesThatAreNone(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("x.json", []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"report"}, "measure first"},
		{[]string{"report", "x.json"}, "x.json: not a document of vsbench"},
		{[]string{"report", "y.json"}, "y.json"},
		{[]string{"report", "--json", "-"}, "--json"},
	} {
		var stdout, stderr strings.Builder
		if status := execute(c.args, nil, &stdout, &stderr); status != exitUsage || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v: status %d, %q; want %d and %q", c.args, status, stderr.String(), exitUsage, c.want)
		}
	}
}
