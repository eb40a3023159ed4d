//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestReplayShowsASeed(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"replay 2", exitOK, "no violation: "},
		{"replay 5 --kind churn", exitOK, "views installed"},
		{"replay 2 --flaw SafeTooEarly --tail 20", exitFailed, "Safe at member"},
	} {
		status, stdout, stderr := vsbench(strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(stdout, c.says) || strings.Count(stdout, "\n") < 10 {
			t.Errorf("%s: exit status %d, want %d with %q:\n%s%s", c.args, status, c.status, c.says, stdout, stderr)
		}
		if again, _, _ := vsbench(strings.Fields(c.args)...); again != status {
			t.Errorf("%s: exit status %d and then %d", c.args, status, again)
		}
	}
}

func TestReplayAsData(t *testing.T) {
	status, stdout, stderr := vsbench("replay", "2", "--flaw", "SafeTooEarly", "--json", "-")
	d := parse(t, []byte(stdout))
	if status != exitFailed || d.Command != "replay" || len(d.Rows) != 1 || d.Rows[0]["violated"] != true || d.Rows[0]["seed"] != 2.0 || d.Settings["flaw"] != "SafeTooEarly" {
		t.Errorf("exit status %d, %+v", status, d)
	}
	if !strings.Contains(stderr, "Safe at member") || !strings.Contains(d.Rows[0]["trace"].(string), "Safe at member") {
		t.Errorf("no trace in one of them; standard error %s", stderr)
	}
}
