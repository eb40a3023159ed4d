package ring

import (
	"errors"
	"math/bits"
)

// Errors of the rings; test with errors.Is.
var (
	ErrClosed   = errors.New("ring: closed")
	ErrTooLarge = errors.New("ring: record too large")
)

const (
	granule     = 32          // bytes; a record takes whole granules
	minCapacity = 8 * granule // so that an eighth of a ring is a granule at least
	falseShare  = 128         // bytes kept between words of different writers: two cache lines, as lines are fetched in pairs
	flagBits    = granule - 1 // positions are multiples of granule, so these bits of a word are free for flags
)

// gap keeps the fields before it and after it off each other's cache lines.
type gap [falseShare]byte

// slot describes the record that begins at its granule.
type slot struct {
	state uint64 // see store.record; atomic in MPSC, guarded by the tail in SPSC
	meta  uint64
}

// store is the memory of a ring. Positions are bytes since the ring's creation.
type store struct {
	size  uint64 // bytes of data, a power of two
	slots []slot
	data  []byte
}

func newStore(capacity int) store {
	n := minCapacity
	if capacity > n {
		n = 1 << bits.Len(uint(capacity-1))
	}
	return store{size: uint64(n), slots: make([]slot, n/granule), data: make([]byte, n)}
}

// MaxRecord returns the bytes of the largest payload that the ring takes: an
// eighth of its capacity.
func (s *store) MaxRecord() int { return int(s.size / 8) }

// span returns the bytes that a payload of n bytes takes in the ring.
func span(n int) uint64 {
	if n == 0 {
		return granule
	}
	return (uint64(n) + flagBits) &^ flagBits
}

// padding returns the bytes to leave out at pos so that span bytes lie in one piece.
func (s *store) padding(pos, span uint64) uint64 {
	if left := s.size - s.offset(pos); span > left {
		return left
	}
	return 0
}

func (s *store) offset(pos uint64) uint64 { return pos & (s.size - 1) }

func (s *store) slot(pos uint64) *slot { return &s.slots[s.offset(pos)/granule] }

// fill writes the record at pos except for its state, which publishes it.
func (s *store) fill(pos, meta uint64, payload []byte) *slot {
	sl := s.slot(pos)
	sl.meta = meta
	copy(s.data[s.offset(pos):], payload)
	return sl
}

// The flags of a state, below its lap: the length takes the bits under them.
func (s *store) present() uint64 { return s.size / 4 }
func (s *store) padded() uint64  { return s.size / 2 }

// record returns the state of a record of n bytes at pos.
func (s *store) record(pos uint64, n int) uint64 {
	return s.lap(pos) | s.present() | uint64(n)
}

// skip returns the state of padding from pos to the end of the lap.
func (s *store) skip(pos uint64) uint64 {
	return s.lap(pos) | s.present() | s.padded()
}

func (s *store) lap(pos uint64) uint64 { return pos &^ (s.size - 1) }

// names tells whether state is one of the record or padding at pos.
func (s *store) names(state, pos uint64) bool {
	return s.lap(state) == s.lap(pos) && state&s.present() != 0
}

// payload returns the bytes of the record at pos.
func (s *store) payload(state, pos uint64) []byte {
	from := s.offset(pos)
	to := from + state&(s.present()-1)
	return s.data[from:to:to]
}
