package iomulticast

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"cohort/batch"
)

// Faults is what a test wants to happen to received packets. The zero value is
// nothing. The same seed and the same packets give the same faults.
type Faults struct {
	Loss      float64 // probability, 0 to 1, that a packet is lost
	Duplicate float64 // probability, 0 to 1, that a packet comes again, after later ones
	Seed      uint64
}

func (f Faults) validate() error {
	for _, p := range []float64{f.Loss, f.Duplicate} {
		if !(p >= 0 && p <= 1) { // also NaN
			return fmt.Errorf("iomulticast: fault probability %v: %w: want 0 to 1", p, ErrOption)
		}
	}
	return nil
}

// maxRepeats bounds the packets kept to come again.
const maxRepeats = 256

// faulty applies Faults to what one socket received.
type faulty struct {
	Faults
	rand    *rand.Rand
	repeats []repeat
}

// repeat is a packet that is to come again.
type repeat struct {
	packet []byte
	from   netip.AddrPort
}

// newFaulty returns nil if there are no faults to apply. Sockets with the same
// Faults differ by their stream.
func newFaulty(f Faults, stream uint64) *faulty {
	if f.Loss == 0 && f.Duplicate == 0 {
		return nil
	}
	return &faulty{Faults: f, rand: rand.New(rand.NewPCG(f.Seed, stream))}
}

// apply damages the first n trains, which were just received, and fills those
// after them with packets that come again. It returns how many are filled.
func (f *faulty) apply(trains []batch.Train, n int) int {
	old := len(f.repeats)
	for i := range trains[:n] {
		f.damage(&trains[i])
	}
	taken := 0
	for taken < old && n < len(trains) && len(trains[n].Buf) >= len(f.repeats[taken].packet) {
		r := f.repeats[taken]
		t := &trains[n]
		t.Buf = t.Buf[:copy(t.Buf, r.packet)]
		t.Segment, t.From = len(t.Buf), r.from
		taken++
		n++
	}
	f.repeats = f.repeats[:copy(f.repeats, f.repeats[taken:])]
	return n
}

// damage removes lost packets from a train by moving up the others, which keeps
// the one short packet last.
func (f *faulty) damage(t *batch.Train) {
	kept := 0
	for rest := t.Buf; len(rest) > 0; {
		p := rest[:min(t.Segment, len(rest))]
		rest = rest[len(p):]
		if f.rand.Float64() < f.Loss {
			continue
		}
		if f.rand.Float64() < f.Duplicate && len(f.repeats) < maxRepeats {
			f.repeats = append(f.repeats, repeat{append([]byte(nil), p...), t.From})
		}
		kept += copy(t.Buf[kept:], p)
	}
	t.Buf = t.Buf[:kept]
}
