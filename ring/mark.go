package ring

import (
	"runtime"
	"sync/atomic"
)

// Mark is the place of one record in an MPSC, for producers that must know whether
// their own come after it. The zero Mark is of no record. Its methods may be called by
// any goroutine.
type Mark struct {
	state atomic.Uint64 // one of these, or markAt and the position
}

const (
	markNone = iota
	markBusy // its record is being pushed, which waits for nothing
	markAll  // of no record: all come after it
	markAt
)

// Zero tells whether it has no place, and is being given none.
func (m *Mark) Zero() bool { return m.state.Load() == markNone }

// Set tells whether it has a place.
func (m *Mark) Set() bool { return m.state.Load() >= markAll }

// SetAll has every record come after the mark, unless it has a place.
func (m *Mark) SetAll() { m.state.CompareAndSwap(markNone, markAll) }

// Before tells whether the marked record comes before the caller's own, which has
// been pushed at this position. A record that was reserved first has the mark seen by
// whoever comes after it, so the answer is exact, whenever it is asked for.
func (m *Mark) Before(pos uint64) bool {
	for {
		switch at := m.state.Load(); at {
		case markNone:
			return false
		case markBusy:
			runtime.Gosched()
		default:
			return at < pos+markAt
		}
	}
}

func (m *Mark) begin() { m.state.CompareAndSwap(markNone, markBusy) }

func (m *Mark) end(pos uint64, ok bool) {
	next := uint64(markNone)
	if ok {
		next = pos + markAt
	}
	m.state.CompareAndSwap(markBusy, next)
}
