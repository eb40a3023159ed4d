package media

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// TestOnlyWhatAFloodIsForIsLeftOut: other warnings are shown, also by loggers made from the
// bench's, and the one that is left out is the engine's: by its words in the manual.
func TestOnlyWhatAFloodIsForIsLeftOut(t *testing.T) {
	var b bytes.Buffer
	l := slog.New(warnings{slog.NewTextHandler(&b, nil)}).With("node", "n").WithGroup("g")
	l.Warn(expected)
	l.Warn("the kernel drops packets")
	if got := b.String(); strings.Contains(got, expected) || !strings.Contains(got, "the kernel drops packets") {
		t.Errorf("logged\n%s", got)
	}
	manual, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(manual), "| warn | "+expected+" |") {
		t.Errorf("the manual has no warning %q", expected)
	}
}
