package pool

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// compute keeps a processor busy for some microseconds.
func compute(sum uint64) uint64 {
	for k := range uint64(10_000) {
		sum = sum*31 + k
	}
	return sum
}

// BenchmarkPool has one node send 64 bytes to itself. work: nothing is done with a message,
// or some microseconds are computed, or waited for; then it enters the region. "queued" is
// the same on one goroutine, with engine.Queued.
func BenchmarkPool(b *testing.B) {
	var sink atomic.Uint64
	for _, w := range []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"compute", func() { sink.Store(compute(sink.Load())) }},
		{"wait", func() { time.Sleep(50 * time.Microsecond) }},
	} {
		b.Run(w.name+"/queued", func(b *testing.B) {
			var done atomic.Int64
			h := engine.HandlerFunc(func(*engine.Message) { w.do(); done.Add(1) })
			g, err := testring.Add(b, testring.Cluster(b), "node").Join(testring.Patient(b), "pool", engine.Queued(h, ringBytes))
			if err != nil {
				b.Fatal(err)
			}
			drive(b, g, &done)
		})
		for _, workers := range []int{1, 2, 4, 16} {
			b.Run(fmt.Sprint(w.name, "/workers=", workers), func(b *testing.B) {
				var done atomic.Int64
				_, g := join(b, Config{Workers: workers}, HandlerFunc(func(t *Turn) { w.do(); t.Enter(func() { done.Add(1) }) }))
				drive(b, g, &done)
			})
		}
	}
}

// drive sends, and waits until all is done.
func drive(b *testing.B, g *engine.Group, done *atomic.Int64) {
	payload := make([]byte, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := g.Send(b.Context(), engine.FIFO, payload); err != nil {
			b.Fatal(err)
		}
	}
	for done.Load() < int64(b.N) {
		time.Sleep(10 * time.Microsecond)
	}
}

// BenchmarkSched is what the scheduler itself costs a message, without locks and threads.
func BenchmarkSched(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		b.Run(fmt.Sprint("keyed=", keyed), func(b *testing.B) {
			s := newSched(1024)
			for k := range b.N {
				s.add(keyed, uint64(k%64))
				if k < 100 {
					continue
				}
				num, _ := s.take()
				s.enter(num)
				s.pass(num)
				s.finish(num)
			}
		})
	}
}
