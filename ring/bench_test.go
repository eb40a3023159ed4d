package ring

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// batch is the records that the benchmarks' consumers take for each Release.
const batch = 64

// drain consumes n records and releases them in batches, and when there are none.
func drain(r records, n int) {
	for taken := 0; n > 0; {
		if _, _, ok := r.Peek(); !ok {
			r.Release()
			runtime.Gosched()
			continue
		}
		r.Next()
		n--
		if taken++; taken%batch == 0 {
			r.Release()
		}
	}
	r.Release()
}

// BenchmarkAlone pushes and consumes batches on one goroutine: what the
// instructions cost without a change of cache lines between cores.
func BenchmarkAlone(b *testing.B) {
	for _, k := range both {
		for _, size := range []int{64, 1024} {
			b.Run(fmt.Sprintf("%s/%dB", k.name, size), func(b *testing.B) {
				r, p := k.make(1<<20), make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					for range batch {
						r.TryPush(1, p)
					}
					drain(r, batch)
				}
			})
		}
	}
}

func BenchmarkMPSC(b *testing.B) {
	for _, producers := range []int{1, 4} {
		for _, size := range []int{64, 1024} {
			b.Run(fmt.Sprintf("producers=%d/%dB", producers, size), func(b *testing.B) {
				r := NewMPSC(1 << 20)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := range producers {
					n := b.N / producers
					if i == 0 {
						n += b.N % producers
					}
					go func() {
						p := make([]byte, size)
						for range n {
							if r.Push(context.Background(), 1, p) != nil {
								panic("closed")
							}
						}
					}()
				}
				drain(r, b.N)
			})
		}
	}
}

func BenchmarkSPSC(b *testing.B) {
	for _, size := range []int{64, 1024} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			r := NewSPSC(1 << 20)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			go func() {
				p := make([]byte, size)
				for i := 1; i <= b.N; i++ {
					for !r.Append(1, p) {
						r.Publish()
						runtime.Gosched()
					}
					if i%batch == 0 || i == b.N {
						r.Publish()
					}
				}
			}()
			drain(r, b.N)
		})
	}
}
