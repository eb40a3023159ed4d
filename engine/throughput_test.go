package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkSend sends from one node of three in this process; the time is per
// message delivered at every node.
func BenchmarkSend(b *testing.B) {
	for _, l := range []Level{FIFO, Causal, Total, Total.Safe()} {
		for _, size := range []int{64, 1024, 8192} {
			b.Run(fmt.Sprint(l, "/", size), func(b *testing.B) {
				nodes := openRing(b, 3, nil)
				var count [3]atomic.Int64
				groups := joinAll(b, nodes, "bench", func(i int) Handler {
					return HandlerFunc(func(*Message) { count[i].Add(1) })
				})
				payload := make([]byte, size)
				ctx := context.Background()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if err := groups[0].Send(ctx, l, payload); err != nil {
						b.Fatal(err)
					}
				}
				for i := range count {
					eventually(b, "delivery", func() bool { return count[i].Load() == int64(b.N) })
				}
				b.StopTimer()
				var dropped uint64
				for _, n := range nodes {
					dropped += n.Stats().DroppedByKernel
				}
				b.ReportMetric(float64(dropped), "dropped")
			})
		}
	}
}
