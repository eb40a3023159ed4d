package engine

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"cohort/internal/transcript"
)

// TestSlowIsNotUnreached: a member whose handler takes long says late what it hears, and
// nobody is told that multicast does not reach it.
func TestSlowIsNotUnreached(t *testing.T) {
	var log transcript.Transcript
	nodes := byAge(openRing(t, 2, func(_ int, c *Config) {
		c.Timeout, c.Logger = time.Second, slog.New(slog.NewTextHandler(&log, nil))
	}))
	slow := &sequence{t: t, wait: func() { time.Sleep(600 * time.Millisecond) }}
	if _, err := nodes[1].Join(patient(t), "g", slow); err != nil {
		t.Fatal(err)
	}
	g, err := nodes[0].Join(patient(t), "g", &sequence{t: t})
	if err != nil {
		t.Fatal(err)
	}
	for k := range 5 {
		if err := g.Send(patient(t), FIFO, numbered(k, 8)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is handled", func() bool { return slow.next.Load() == int64(k)+1 })
	}
	if strings.Contains(log.String(), "does not reach") || nodes[0].Stats().Expelled+nodes[1].Stats().Expelled > 0 {
		t.Error(log.String())
	}
}
