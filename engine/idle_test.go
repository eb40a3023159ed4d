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

// TestIdleSleeps: a node without traffic wakes some 25 to 40 times a second, for its
// rows and those of others. CPU time is told and not judged: what a wake-up takes is the
// machine's affair, and up to three times as much while others use it.
func TestIdleSleeps(t *testing.T) {
	nodes := openRing(t, 3, func(_ int, c *Config) { c.Timeout = defaultTimeout })
	groups := joinAll(t, nodes, "idle", func(int) Handler { return HandlerFunc(func(*Message) {}) })
	if err := groups[1].Send(patient(t), Total.Safe(), nil); err != nil {
		t.Fatal(err)
	}
	allJoined(t, groups)
	time.Sleep(100 * time.Millisecond) // until the last acknowledgements are through
	runtime.GC()
	const (
		period = 1500 * time.Millisecond
		limit  = 100 // turns per second, at each node
	)
	turns := func(n *Node) uint64 { s := n.Stats(); return s.Wakeups + s.Naps }
	var before [3]uint64
	for i, n := range nodes {
		before[i] = turns(n)
	}
	began, used := time.Now(), cpuTime(t)
	time.Sleep(period)
	took := time.Since(began)
	t.Logf("3 idle nodes used %.2f%% of a core", 100*(cpuTime(t)-used).Seconds()/took.Seconds())
	for i, n := range nodes {
		rate := float64(turns(n)-before[i]) / took.Seconds()
		t.Logf("node %d woke %.0f times a second", i, rate)
		if rate > limit {
			t.Errorf("node %d, idle, woke %.0f times a second, want at most %d", i, rate, limit)
		}
	}
}
