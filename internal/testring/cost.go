//go:build unix

package testring

import (
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Cost is what a benchmark reports where other programs use the machine too: quantiles of
// single times, and the processor time of this process, all nodes together.
type Cost struct {
	b     *testing.B
	start time.Duration
	mu    sync.Mutex
	times []time.Duration
}

// Measure begins to measure; the benchmark's own clock begins anew too.
func Measure(b *testing.B) *Cost {
	b.Helper()
	c := &Cost{b: b, times: make([]time.Duration, 0, b.N)}
	c.start = cpu(b)
	b.ResetTimer()
	return c
}

// Since notes the time from start until now.
func (c *Cost) Since(start time.Time) {
	d := time.Since(start)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, d)
}

// Report gives the times' 10 % quantile and median, and the processor time per operation,
// of which there were ops.
func (c *Cost) Report(ops int) {
	c.b.ReportMetric(float64((cpu(c.b)-c.start).Nanoseconds())/1e3/float64(ops), "cpu-µs/op")
	if n := len(c.times); n > 0 {
		slices.Sort(c.times)
		c.b.ReportMetric(float64(c.times[n/10].Nanoseconds())/1e3, "p10-µs")
		c.b.ReportMetric(float64(c.times[n/2].Nanoseconds())/1e3, "p50-µs")
	}
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
