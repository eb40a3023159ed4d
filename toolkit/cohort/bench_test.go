package cohort

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkCall: three nodes in one process, a function that returns at once, requests and
// answers of 64 bytes; one caller at a time is latency, 64 are throughput.
func BenchmarkCall(b *testing.B) {
	for name, callers := range map[string]int{"1 caller": 1, "64 callers": 64} {
		b.Run(name, func(b *testing.B) { benchmarkCall(b, callers) })
	}
}

func benchmarkCall(b *testing.B, callers int) {
	_, services := open(b, 3, time.Minute, func(int) Function {
		return func(_ context.Context, request []byte) ([]byte, error) { return request, nil }
	})
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := services[i%3].Call(context.Background(), make([]byte, 64)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
