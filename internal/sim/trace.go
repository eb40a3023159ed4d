package sim

import (
	"fmt"
	"strings"
	"time"

	"cohort/core"
)

// Trace keeps the last lines of what happened in a run: time since its start,
// member, event.
type Trace struct {
	Keep  int  // lines kept; 0: all
	Idle  bool // go on when all has been delivered
	lines []string
}

func (t *Trace) add(now int64, member int, format string, args ...any) {
	if t.Keep > 0 && len(t.lines) >= 2*t.Keep {
		t.lines = append(t.lines[:0], t.lines[len(t.lines)-t.Keep:]...)
	}
	line := fmt.Sprintf("%12v  %d  ", time.Duration(now-started), member) + fmt.Sprintf(format, args...)
	t.lines = append(t.lines, line)
}

// String returns the lines kept.
func (t *Trace) String() string {
	lines := t.lines
	if t.Keep > 0 && len(lines) > t.Keep {
		lines = lines[len(lines)-t.Keep:]
	}
	return strings.Join(lines, "\n") + "\n"
}

func target(to int) string {
	if to == core.Multicast {
		return "*"
	}
	return fmt.Sprint(to)
}
