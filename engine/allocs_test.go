package engine

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// TestNoAllocationsPerMessage counts the allocations of the whole process while
// three nodes send, receive and deliver.
func TestNoAllocationsPerMessage(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct {
		level  Level
		size   int
		many   int
		queue  bool
		how    Transport
		buffer int // of a socket, bytes; 0: as much as there is
	}{
		{FIFO, 64, 200_000, false, Auto, 0}, {Total, 64, 200_000, false, Auto, 0}, {Total.Safe(), 64, 200_000, false, Auto, 0},
		{Causal, 1024, 100_000, false, Auto, 0}, {FIFO, 64, 200_000, true, Auto, 0}, {Total, 64, 200_000, false, Fanout, 0},
		{Causal, 8192, 50_000, false, Auto, 425_984}, // of an ordinary user: Send has to wait
	} {
		t.Run(fmt.Sprintf("%v/%d/queued=%v/%v/buffer=%d", c.level, c.size, c.queue, c.how, c.buffer), func(t *testing.T) {
			nodes := openRing(t, 3, func(_ int, cfg *Config) { cfg.Transport, cfg.RecvBuffer = c.how, c.buffer })
			var got [3]atomic.Int64
			groups := joinAll(t, nodes, "allocs", func(i int) Handler {
				h := HandlerFunc(func(*Message) { got[i].Add(1) })
				if c.queue {
					return Queued(h, 1<<20)
				}
				return h
			})
			ctx, payload, total := patient(t), make([]byte, c.size), int64(0)
			send := func(n int) {
				for range n {
					if err := groups[0].Send(ctx, c.level, payload); err != nil {
						t.Fatal(err)
					}
				}
				total += int64(n)
				for i := range got {
					eventually(t, "delivery", func() bool { return got[i].Load() == total })
				}
			}
			send(c.many / 4) // memory for packets is taken as it is needed, and then kept
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			send(c.many)
			runtime.ReadMemStats(&after)
			per := float64(after.Mallocs-before.Mallocs) / float64(c.many)
			t.Logf("%.5f allocations, %.1f bytes per message", per, float64(after.TotalAlloc-before.TotalAlloc)/float64(c.many))
			if per >= 0.01 {
				t.Errorf("%.3f allocations per message sent and delivered three times, want less than 0.01", per)
			}
		})
	}
}
