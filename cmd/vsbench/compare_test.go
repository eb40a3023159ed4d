//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// results writes a document of run with six runs of one row.
func results(t *testing.T, command string, rates ...int) string {
	var runs []string
	for _, r := range rates {
		runs = append(runs, fmt.Sprintf(`{"msgs_per_s": %d}`, r))
	}
	return writeFile(t, "r.json", fmt.Sprintf(`{"schema": 1, "command": %q, "rows": [
		{"level": "abcast", "size_bytes": 64, "members": 3, "senders": 1, "network": "loopback", "msgs_per_s": %d, "runs": [%s]}]}`,
		command, rates[0], strings.Join(runs, ",")))
}

func TestCompare(t *testing.T) {
	old, next := results(t, "run", 100, 101, 102, 103, 104, 105), results(t, "run", 200, 202, 204, 206, 208, 210)
	status, stdout, stderr := vsbench("compare", "--figures", "msgs_per_s", old, next)
	if status != exitOK || stderr != "" || !strings.Contains(stdout, "+100.0%") || !strings.Contains(stdout, "1 of 1 figure changed") {
		t.Errorf("exit status %d, standard output\n%s\nstandard error %s", status, stdout, stderr)
	}
	status, stdout, stderr = vsbench("compare", "--figures", "msgs_per_s", "--json", "-", old, next+","+old)
	if status != exitOK || !strings.Contains(stderr, "of 1 figure changed") {
		t.Errorf("exit status %d, standard error %s", status, stderr)
	}
	var d struct {
		Command string
		Against []struct{ Figures []map[string]any }
	}
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if d.Command != "compare" || len(d.Against) != 1 || d.Against[0].Figures[0]["new"].(map[string]any)["n"] != 12.0 {
		t.Errorf("%s", stdout)
	}
}

func TestCompareRefuses(t *testing.T) {
	good, other, garbled := results(t, "run", 1), results(t, "failover", 1), writeFile(t, "g.json", `{"schema": 1, "rows": [`)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{good}, "compare: 1 of results: want at least two"},
		{[]string{good, other}, `a document of "failover": want one of "run"`},
		{[]string{good, garbled}, "not a document of vsbench"},
		{[]string{good + ",", good}, fmt.Sprintf("%q: no file beside a comma: want FILE, or FILE,FILE", good+",")},
		{[]string{good, ",", good}, `",": no file beside a comma`},
		{[]string{good, ""}, `"": no file`},
		{[]string{good, "nonesuch.json"}, "vsbench: nonesuch.json: no such file or directory: want a file of results, as --json"},
		{[]string{good, t.TempDir()}, "is a directory: want a file of results"},
		{[]string{good, writeFile(t, "n.json", `{"a": 1}`)}, "n.json: not a document of vsbench: it has no schema"},
		{[]string{good, good + "," + good}, "is there twice in"},
		{[]string{"--figures", "speed", good, good}, `--figures: "speed": want msgs_per_s,`},
		{nil, "expected"},
	} {
		status, stdout, stderr := vsbench(append([]string{"compare"}, c.args...)...)
		if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit status %d, standard error %q; want one line with %q", c.args, status, stderr, c.says)
		}
	}
}

func TestCompareHelpHasExamples(t *testing.T) {
	status, stdout, _ := vsbench("compare", "-h")
	if status != exitOK || !strings.Contains(stdout, "vsbench compare before.json after.json") || !strings.Contains(stdout, "Exit status 0") {
		t.Errorf("exit status %d:\n%s", status, stdout)
	}
}
