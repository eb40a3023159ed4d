package engine

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestBurstAtSlowHandler: a handler that becomes slow has its node stand still for some
// messages, not for all that have come at once, and its counters move meanwhile.
func TestBurstAtSlowHandler(t *testing.T) {
	const messages = 1000
	nodes := byAge(openRing(t, 3, func(_ int, c *Config) { c.Timeout = time.Second }))
	var handled atomic.Int64
	groups := joinAll(t, nodes, "slow", func(i int) Handler {
		if i < 2 {
			return HandlerFunc(func(*Message) {})
		}
		return HandlerFunc(func(*Message) { time.Sleep(3 * time.Millisecond); handled.Add(1) })
	})
	allJoined(t, groups)
	before := nodes[2].Stats().MessagesDelivered
	nodes[2].mu.Lock() // so that all have come when it goes on
	for range messages {
		if err := groups[0].Send(patient(t), FIFO, make([]byte, 1000)); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(20 * time.Millisecond)
	nodes[2].mu.Unlock()
	seen := map[uint64]bool{}
	eventually(t, "all are handled", func() bool {
		seen[nodes[2].Stats().MessagesDelivered-before] = true
		return handled.Load() == messages
	})
	if s := nodes[2].Stats(); s.Expelled > 0 {
		t.Errorf("expelled %d times", s.Expelled)
	}
	if len(seen) < 20 {
		t.Errorf("the counter of messages had %d values while %d were handled", len(seen), messages)
	}
}
