package kernel

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	distancePairs  = 4                     // of processors that are looked at, at most
	distanceRounds = 8                     // for each pair, of which the fastest counts
	distanceTrips  = 100                   // of the line, there and back, in each
	distanceLimit  = 20 * time.Millisecond // for each pair: a processor may be busy
	distanceSpins  = 1 << 12               // between two looks at the clock
)

// Distance returns how long a cache line takes from one processor to another and back,
// ns: of a few pairs of those that this process may run on, the slowest. It is 0 where it
// cannot be told. Two threads are busy meanwhile, for about a millisecond a pair.
func Distance() float64 {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return 0
	}
	var list []int
	for i := 0; len(list) < allowed.Count(); i++ {
		if allowed.IsSet(i) {
			list = append(list, i)
		}
	}
	far, others := 0.0, len(list)-1
	pairs := min(others, distancePairs)
	for k := range pairs {
		ns := between(list[0], list[others-k*others/pairs])
		if ns == 0 {
			return 0
		}
		far = max(far, ns)
	}
	return far
}

// line is a cache line that two threads write in turns: odd numbers go, even ones come back.
type line struct {
	_     [128]byte
	turn  atomic.Uint32
	_     [128]byte
	ended atomic.Bool
}

// wait waits until the line shows a turn. It is false if that does not come.
func (l *line) wait(turn uint32, end time.Time) bool {
	for {
		for range distanceSpins {
			if l.turn.Load() == turn {
				return true
			}
		}
		if l.ended.Load() || time.Now().After(end) {
			l.ended.Store(true)
			return false
		}
	}
}

// between returns the fastest round between two processors, ns a trip; 0 if they cannot
// both be had.
func between(a, b int) float64 {
	l, end := &line{}, time.Now().Add(distanceLimit)
	const trips = distanceRounds * distanceTrips
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		l.pin(b)
		for i := uint32(1); i <= trips && l.wait(2*i-1, end); i++ {
			l.turn.Store(2 * i)
		}
	}()
	best := 0.0
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.pin(a)
		for i := uint32(1); i <= trips; {
			begun := time.Now()
			for range distanceTrips {
				l.turn.Store(2*i - 1)
				if !l.wait(2*i, end) {
					return
				}
				i++
			}
			if ns := float64(time.Since(begun).Nanoseconds()) / distanceTrips; best == 0 || ns < best {
				best = ns
			}
		}
	}()
	<-done
	<-stopped
	if l.ended.Load() {
		return 0
	}
	return best
}

// pin keeps the goroutine to one processor, on a thread that ends with it: nobody else is
// to have one that is pinned, so it is never unlocked.
func (l *line) pin(processor int) {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(processor)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		l.ended.Store(true)
	}
}
