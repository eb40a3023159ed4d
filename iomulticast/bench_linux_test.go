package iomulticast

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/batch"

	"golang.org/x/sys/unix"
)

// BenchmarkSegmentsOnLo is where loSegment comes from: one sender, two
// receivers, trains as full as the packet size allows, and a window of 4 MiB so
// that nothing is dropped. An operation is a train. MB/s is what each receiver
// gets.
func BenchmarkSegmentsOnLo(b *testing.B) {
	for _, segment := range []int{1472, 4352, 8384, 16320, 32704, loSegment} {
		b.Run(fmt.Sprint(segment), func(b *testing.B) {
			cfg := loConfig(b)
			cfg.Segment = segment
			benchmarkTrains(b, mustOpen(b, cfg), mustOpen(b, cfg), mustOpen(b, cfg), fullTrain(segment), 4<<20)
		})
	}
}

// BenchmarkAcrossSwitch is the same between namespaces at MTU 1500, with trains
// and without. It needs root.
func BenchmarkAcrossSwitch(b *testing.B) {
	for name, trains := range map[string]Trains{"trains": Auto, "plain": Off} {
		b.Run(name, func(b *testing.B) {
			cfg := Config{Group: testGroup(), Trains: trains}
			conns := openLab(b, 1500, cfg, cfg, cfg)
			benchmarkTrains(b, conns[0], conns[1], conns[2], fullTrain(1472), 2<<20)
		})
	}
}

func fullTrain(segment int) int { return min(batch.MaxSegments, batch.MaxPayload/segment) * segment }

// benchmarkTrains sends b.N trains of size bytes in windows, and waits until
// both receivers have them all.
func benchmarkTrains(b *testing.B, from, to1, to2 *Conn, size, window int) {
	segment := from.Features().Segment
	total := uint64(b.N) * uint64(size)
	var got [2]atomic.Uint64
	var wg sync.WaitGroup
	for i, c := range []*Conn{to1, to2} {
		wg.Go(func() { sink(b, c, &got[i], total) })
	}
	train := pattern(size, segment)
	trains := []batch.Train{train, train, train, train}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	runtime.LockOSThread()
	for sent := uint64(0); sent < total && !b.Failed(); {
		if sent-min(got[0].Load(), got[1].Load()) > uint64(window-len(trains)*size) {
			from.Nap(20 * time.Microsecond)
			continue
		}
		n, err := from.Send(trains[:min(uint64(len(trains)), (total-sent)/uint64(size))])
		if err != nil {
			b.Error(err)
		}
		sent += uint64(n * size)
	}
	wg.Wait()
	b.ReportMetric(float64(cpuTime()-cpu)*1024/float64(b.N*size), "cpu-ns/KiB")
	b.ReportMetric(float64(b.N*((size+segment-1)/segment))/b.Elapsed().Seconds(), "packets/s")
	if d := to1.Drops() + to2.Drops(); d > 0 {
		b.Errorf("%d trains dropped", d)
	}
}

// cpuTime returns what this process has used, ns. It suffers less than the
// clock does from what else the machine is doing.
func cpuTime() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// sink receives total bytes on a locked thread; like a busy engine it naps when
// a look found little.
func sink(b *testing.B, c *Conn, got *atomic.Uint64, total uint64) {
	runtime.LockOSThread()
	if err := c.PrepareThread(); err != nil {
		b.Error(err)
	}
	const slabs = 16
	whole := buffers(slabs)
	trains := make([]batch.Train, slabs)
	idle := time.Now()
	for got.Load() < total {
		copy(trains, whole)
		n, err := c.RecvMulticast(trains)
		if err != nil {
			b.Error(err)
		}
		for i := range n {
			got.Add(uint64(len(trains[i].Buf)))
		}
		if n > 0 {
			idle = time.Now()
		}
		if n < slabs {
			c.Nap(50 * time.Microsecond)
		}
		if time.Since(idle) > 2*time.Second {
			b.Errorf("%d of %d bytes came", got.Load(), total)
			return
		}
	}
}
