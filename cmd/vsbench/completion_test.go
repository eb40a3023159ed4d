//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

func TestCompletionCodeForEachShell(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o default", "zsh": "bashcompinit", "fish": "complete -f -c vsbench"} {
		if status, stdout, stderr := vsbench("completion", "-c", shell); status != exitOK || !strings.Contains(stdout, want) || !strings.Contains(stdout, "vsbench") {
			t.Errorf("%s: exit status %d, %s%s", shell, status, stdout, stderr)
		}
		if status, stdout, _ := vsbench("completion", shell); status != exitOK || !strings.Contains(stdout, "vsbench completion -c "+shell) {
			t.Errorf("%s: exit status %d, %s", shell, status, stdout)
		}
	}
	if status, _, stderr := vsbench("completion", "tcsh"); status != exitUsage || strings.Count(stderr, "\n") != 1 {
		t.Errorf("tcsh: exit status %d, standard error %q", status, stderr)
	}
}

// TestCompletionAnswersTheShell asks as bash does.
func TestCompletionAnswersTheShell(t *testing.T) {
	for line, want := range map[string]string{"vsbench la": "latency", "vsbench soak --inter": "--interval", "vsbench replay --kind ch": "churn"} {
		t.Setenv("COMP_LINE", line)
		if status, stdout, stderr := vsbench(); status != exitOK || strings.TrimSpace(stdout) != want {
			t.Errorf("%q: exit status %d, %q, %s; want %s", line, status, stdout, stderr, want)
		}
	}
	os.Unsetenv("COMP_LINE")
}
