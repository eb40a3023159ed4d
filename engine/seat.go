package engine

import "math/bits"

// When a loop keeps to a processor, and leaves it again: ns.
const (
	seatFree  = 20_000_000    // a loop that has not been busy for so long may be woken anywhere again
	seatLook  = 30_000_000    // how often it is looked at whether the loop gets its processor's time
	seatAgain = 1_000_000_000 // how long it keeps to none where that cannot be, or was no good
)

// seat is the processor that the loop keeps to. Where a host has fewer processors than
// members, two receivers have one beside the sender's, and Linux, which wakes a thread where it
// last ran unless little is going on, often has one of them wait behind the sender while that
// processor idles. Up to a third of the throughput is lost that way; see docs/PERFORMANCE.md.
type seat struct {
	thread affinity
	held   bool
	view   uint64 // in which it was taken
	wanted int64  // when it last was, ns
	not    int64  // no other before
	look   look
}

// look is since when it is looked at whether the loop gets its processor's time.
type look struct {
	since, ran int64 // the time, and the thread's own
	rested     int64 // of it, in naps and sleeps
}

// seatOf returns which of so many processors the member of that rank keeps to while those whose
// bits are set send, or -1 if it is to be left to the system. A sender takes as much time as two
// receivers, so the first processor is left to it, and each other one has two of them. With 4, 8
// and 16 members on 2 processors it brought nothing, or was worse, for those are full without
// it; with fewer members than that on more processors it was not measured.
func seatOf(rank, members, processors int, sending uint64) int {
	others := processors - 1
	if others < 1 || members-1 != 2*others || bits.OnesCount64(sending) != 1 {
		return -1
	}
	sender := bits.TrailingZeros64(sending)
	if rank == sender {
		return -1 // its program needs the other half of what receivers leave
	}
	if rank > sender {
		rank--
	}
	return 1 + rank%others
}

// take keeps the loop to the k-th processor in a view, if there is one for it.
func (s *seat) take(now int64, view uint64, k int) {
	ran := s.thread.ran()
	if k < 0 || ran < 0 || s.thread.keep(k) != nil {
		s.not = now + seatAgain
		return
	}
	s.held, s.view, s.wanted, s.look = true, view, now, look{since: now, ran: ran}
}

// leave lets the loop run anywhere.
func (s *seat) leave() {
	if s.held {
		s.thread.free()
		s.held = false
	}
}

// stay notes whether the loop still is to keep to its processor, and leaves it if it has not
// been so for long, or if it has more to do there than the processor has time for: it hardly
// rests, and waits. Handlers may take more than receiving does, and other programs as well.
func (s *seat) stay(now int64, wanted bool) {
	if wanted {
		s.wanted = now
	}
	took := now - s.look.since
	switch {
	case now-s.wanted > seatFree:
		s.leave()
	case took >= seatLook:
		ran := s.thread.ran()
		waited := took - (ran - s.look.ran) - s.look.rested
		if s.look.rested < took/32 && waited > took/4 {
			s.leave()
			s.not = now + seatAgain
		}
		s.look = look{since: now, ran: ran}
	}
}

// rested notes how long the loop did nothing, as it meant to, ns. A handler that blocks counts
// as waiting.
func (s *seat) rested(ns int64) { s.look.rested += ns }

// sit takes a seat, or leaves it, as the loop's work is.
func (n *Node) sit(now int64) {
	s := &n.seat
	if n.cfg.Spin || !s.held && (now < s.not || !n.busy.busy()) {
		return // a loop that spins is to have a processor for itself
	}
	now = n.now() // of the same instant as what the thread has run
	if !n.proc.In() {
		s.leave()
		return
	}
	at := n.proc.Site()
	v, sending := at.View(), at.Machine().Sending()
	receives := bits.OnesCount64(sending) == 1 && sending>>at.Rank()&1 == 0
	switch {
	case s.held && (v.Num != s.view || sending != 0 && !receives):
		s.leave()
	case s.held:
		s.stay(now, n.busy.busy())
	case !receives: // soon it may
	case v.Local():
		s.take(now, v.Num, seatOf(at.Rank(), len(v.Members), s.thread.count(), sending))
	default: // a card's interrupts come to processors of their own
		s.not = now + seatAgain
	}
}
