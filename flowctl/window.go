// Package flowctl keeps senders within what receivers can take and finds and
// paces the repair of what got lost all the same. It is pure: times are
// arguments, in ns.
package flowctl

import "math/bits"

// Charge is what a packet of n payload bytes costs in a receiver's kernel
// buffer, which counts memory rather than payload. Measured on Linux 6.18: a
// datagram, or a train, takes 832 bytes more than its payload; but one of up to
// 16,005 bytes that travels by itself lies in a piece of memory whose size is a
// power of two. Packets that ride in a train are charged an eighth more than
// their payload, which is more than lo and veth take; cards were not measured.
func Charge(n int, leadsTrain bool) int {
	if !leadsTrain {
		return n + n/8
	}
	return max(n+perTrain, alone(n))
}

const perTrain = 832

// What Linux takes for a datagram that lies in one piece of memory: the piece, in which it
// has inPiece bytes beside it, and perPiece to describe it. 576 is the least.
const (
	leastPiece, mostPiece = 576, 16_384
	inPiece, perPiece     = 379, 256
)

func alone(n int) int {
	switch n += inPiece; {
	case n <= leastPiece:
		return leastPiece + perPiece
	case n <= mostPiece:
		return 1<<bits.Len(uint(n-1)) + perPiece
	}
	return 0 // it lies in pages
}

// fits returns the bytes of the largest packet, by itself, whose charge is at most so much;
// less than 0 if there is none.
func fits(charge int) int {
	n := charge - perTrain
	switch piece := charge - perPiece; {
	case piece < 1024:
		return min(n, leastPiece-inPiece)
	case piece < mostPiece:
		return min(n, 1<<(bits.Len(uint(piece))-1)-inPiece)
	}
	return n
}

// Window bounds one sender's packets in flight: sent, and not known to have
// arrived at every member. The windows of all senders together fit the smallest
// receive buffer in the view, so that at full load the kernel drops nothing.
type Window struct {
	share    int // of every member at all times
	common   int // divided among the senders that are active
	inflight int // charged bytes
	packets  int
	sent     int64 // when the last one was, ns
	starting bool  // it begins: Begun has not been called since a rest
	arrived  bool  // ... and something sent since then has arrived everywhere
	asked    bool  // rows have been asked for since it began, or since something arrived
}

// MaxPackets bounds a sender's packets in flight, whatever their size: what the
// receivers' stream memory is laid out for.
const MaxPackets = 4096

// NewWindow returns the window of one of n members whose smallest receive buffer
// has budget bytes of kernel memory. A fifth is left for rows, repairs and what
// the charge does not see; of the rest each member always owns its part of one
// quarter, and the active senders share the other three: once they have heard of
// each other. So a member that has rested keeps to its part until its first packet has
// arrived everywhere, for all may begin at the same instant, and until what the others
// had sent by then has, for they may not have known yet that they share.
func NewWindow(budget, n int) *Window {
	usable := budget / 5 * 4
	return &Window{share: usable / 4 / n, common: usable / 4 * 3, sent: -ActiveFor}
}

// ActiveFor is how long after its last packet came a member counts as sending, ns.
const ActiveFor int64 = 10_000_000

// rests tells whether the others may have forgotten by now that this member sends. What
// it sent last has arrived if nothing is in flight, and they remember that for ActiveFor:
// half of it is for the way of what comes next.
func (w *Window) rests(now int64) bool { return w.packets == 0 && now-w.sent > ActiveFor/2 }

// Sends tells whether this member sent within ActiveFor.
func (w *Window) Sends(now int64) bool { return now-w.sent < ActiveFor }

// Limit returns the charged bytes that may be in flight while active senders,
// this one included, send.
func (w *Window) Limit(active int) int { return w.share + w.common/max(active, 1) }

// Left returns the charged bytes that may be sent beside what is in flight; 0 or less if none may.
func (w *Window) Left(now int64, active int) int {
	if w.starting || w.rests(now) {
		return w.share - w.inflight
	}
	return w.Limit(active) - w.inflight
}

// Room returns how large a packet may be sent, bytes, from least to most; 0 if none may be.
// A window too small for even one of the least still lets one at a time through.
func (w *Window) Room(now int64, least, most, active int) int {
	switch room := fits(w.Left(now, active)); {
	case w.packets >= MaxPackets:
		return 0
	case room >= least:
		return min(room, most)
	case w.packets == 0:
		return least
	}
	return 0
}

// Asks tells whether to ask for rows: once in each half of a beginning, when there is no room for a packet of
// the least bytes and one is to be sent. It waits for the first one to be acknowledged, though all
// of them may be too little to be acknowledged at once. Who has no more to send waits for nothing.
func (w *Window) Asks(least int) bool {
	ask := w.starting && !w.asked && (w.packets >= MaxPackets || fits(w.share-w.inflight) < least)
	w.asked = w.asked || ask
	return ask
}

// Sent notes a packet on its way.
func (w *Window) Sent(now int64, charge int) {
	if w.rests(now) {
		w.starting, w.arrived, w.asked = true, false, false
	}
	w.sent = now
	w.inflight += charge
	w.packets++
}

// Acked notes that every member has a packet.
func (w *Window) Acked(charge int) {
	if w.starting && !w.arrived {
		w.arrived, w.asked = true, false
	}
	w.inflight -= charge
	w.packets--
}

// Known tells whether this member begins and all others know by now that it sends.
func (w *Window) Known() bool { return w.starting && w.arrived }

// Begun notes that what the others had sent before they knew has arrived everywhere.
func (w *Window) Begun() { w.starting = false }

// InFlight returns the charged bytes in flight.
func (w *Window) InFlight() int { return w.inflight }
