package pool

import "math/bits"

// sched decides which message is processed next and whose turn it is in the region: no
// locks and no goroutines. Messages have numbers from 1, in delivery order; those from
// base up to next are in work or wait, at most as many as there are places.
//
// A worker gets the lowest message that may run. So of all that are not finished the
// lowest has a worker, or the next worker that is free takes it: it may run, for those of its
// key before it are finished. It never waits for its turn, so workers that wait
// for theirs cannot all wait for ever.
type sched struct {
	next   uint64 // number that is given next
	base   uint64 // the lowest that is not finished
	turn   uint64 // whose turn it is
	places []place
	ready  []uint64          // a bit per place: its message may run and has no worker
	count  int               // bits in ready
	last   map[uint64]uint64 // by key: the last message that is not finished
}

type place struct {
	key      uint64
	keyed    bool
	follower uint64 // the next of its key, which waits for this one; 0: none
	passed   bool   // its turn is over, or will be once it comes
	waits    bool   // for its turn
	finished bool
}

// newSched returns one of size places, a power of two of 64 or more.
func newSched(size int) *sched {
	return &sched{next: 1, base: 1, turn: 1, places: make([]place, size), ready: make([]uint64, size/64), last: map[uint64]uint64{}}
}

func (s *sched) at(num uint64) *place { return &s.places[s.index(num)] }

func (s *sched) index(num uint64) int { return int(num) & (len(s.places) - 1) }

// used is how many messages are not finished, or wait for a lower one that is not.
func (s *sched) used() int { return int(s.next - s.base) }

// add takes a message in. There must be a free place.
func (s *sched) add(keyed bool, key uint64) (num uint64) {
	num = s.next
	s.next++
	*s.at(num) = place{key: key, keyed: keyed}
	if keyed {
		before, ok := s.last[key]
		s.last[key] = num
		if ok {
			s.at(before).follower = num
			return num
		}
	}
	s.allow(num)
	return num
}

func (s *sched) allow(num uint64) {
	i := s.index(num)
	s.ready[i/64] |= 1 << (i % 64)
	s.count++
}

// take gives the lowest message that may run to a worker; false if there is none.
func (s *sched) take() (num uint64, ok bool) {
	if s.count == 0 {
		return 0, false
	}
	from := s.index(s.base)
	word := from / 64
	low := s.ready[word] &^ (1<<(from%64) - 1) // those before base in its word are the newest
	for low == 0 {
		word = (word + 1) % len(s.ready)
		low = s.ready[word]
	}
	i := word*64 + bits.TrailingZeros64(low)
	s.ready[word] &^= 1 << (i % 64)
	s.count--
	return s.base + uint64((i-from)&(len(s.places)-1)), true
}

// enter tells whether it is the message's turn; else it waits for it from now on.
func (s *sched) enter(num uint64) bool {
	s.at(num).waits = s.turn != num
	return s.turn == num
}

// pass ends the message's turn, also before it has come. It returns whose turn it is
// then, if that one waits for it; else 0.
func (s *sched) pass(num uint64) (woken uint64) {
	s.at(num).passed = true
	if s.turn != num {
		return 0
	}
	for s.turn < s.next && s.at(s.turn).passed {
		s.turn++
	}
	if s.turn < s.next && s.at(s.turn).waits {
		return s.turn
	}
	return 0
}

// finish ends a message whose turn has been passed.
func (s *sched) finish(num uint64) {
	p := s.at(num)
	p.finished = true
	switch {
	case p.follower != 0:
		s.allow(p.follower)
	case p.keyed:
		delete(s.last, p.key)
	}
	for s.base < s.next && s.at(s.base).finished {
		s.base++
	}
}
