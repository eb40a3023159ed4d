package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		says   string // in the output or the error
	}{
		{"run --seeds 20", 0, "20 runs from seed 1 "},
		{"run --seeds 50 --flaw SafeTooEarly --parallel 1", 1, "Safe at member"},
		{"run --seeds 5 --flaw SafeTooEarly --keep", 1, "5 runs"},
		{"soak --duration 50ms --from 100", 0, "from seed 100 "},
		{"replay 2 --flaw SafeTooEarly --shrink 200 --tail 20", 1, "sends 1 x safe-"},
		{"replay 2", 0, "no violation"},
		{"props", 0, "NoDuplication: "},
		{"--help", 0, "Usage: vssim"},
		{"run --flaw TailByArrival", 2, "--flaw TailByArrival: only churn shows it"},
		{"run --flaw Wrong", 2, `--flaw "Wrong": no such flaw`},
		{"run --parallel 0", 2, "--parallel 0: want at least 1"},
		{"replay nonsense", 2, "nonsense"},
		{"replay", 2, "seed"},
		{"run --no-such-flag", 2, "no-such-flag"},
		{"", 2, "run"},
	} {
		var out, errs bytes.Buffer
		if status := run(strings.Fields(c.args), &out, &errs); status != c.status {
			t.Errorf("vssim %s: status %d, want %d\n%s%s", c.args, status, c.status, out.String(), errs.String())
		}
		if text := out.String() + errs.String(); !strings.Contains(text, c.says) {
			t.Errorf("vssim %s does not say %q:\n%s", c.args, c.says, text)
		}
		if c.status == 2 && strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("vssim %s: want one line of error, got:\n%s", c.args, errs.String())
		}
	}
}

// TestReplayIsTheSame replays a seed twice.
func TestReplayIsTheSame(t *testing.T) {
	var a, b, errs bytes.Buffer
	run([]string{"replay", "7"}, &a, &errs)
	run([]string{"replay", "7"}, &b, &errs)
	if !bytes.Equal(a.Bytes(), b.Bytes()) || a.Len() < 1000 || errs.Len() > 0 {
		t.Errorf("two replays of a seed differ, or are empty: %d B, %d B %s", a.Len(), b.Len(), errs.String())
	}
}
