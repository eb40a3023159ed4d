//go:build unix

package engine

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has used so far.
func cpuTime(t *testing.T) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestIdleCostsNothing: a node without traffic sleeps. The target is 1% of a core
// each; the test allows twice that, for noise.
func TestIdleCostsNothing(t *testing.T) {
	nodes := openRing(t, 3, func(_ int, c *Config) { c.Timeout = defaultTimeout })
	groups := joinAll(t, nodes, "idle", func(int) Handler { return HandlerFunc(func(*Message) {}) })
	if err := groups[1].Send(patient(t), Total.Safe(), nil); err != nil {
		t.Fatal(err)
	}
	allJoined(t, groups)
	time.Sleep(100 * time.Millisecond) // until the last acknowledgements are through
	runtime.GC()
	const period = 1500 * time.Millisecond
	before := cpuTime(t)
	time.Sleep(period)
	used := cpuTime(t) - before
	share := 100 * used.Seconds() / period.Seconds()
	t.Logf("3 idle nodes used %.2f%% of a core", share)
	limit := 6.0
	if raced {
		limit *= 5
	}
	if share > limit {
		t.Errorf("3 idle nodes used %.1f%% of a core, want at most %.0f%%", share, limit)
	}
}
