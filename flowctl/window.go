// Package flowctl keeps senders within what receivers can take and finds and
// paces the repair of what got lost all the same. It is pure: times are
// arguments, in ns.
package flowctl

// Charge is what a packet of n payload bytes costs in a receiver's kernel
// buffer, which counts memory rather than payload. Measured on Linux 6.18: a
// 64 B datagram is charged 832 bytes, one of 1400 B 2304, a train of 64 KiB
// 71,000; so an eighth more than the payload, and perTrain for each datagram
// that does not ride in a train.
func Charge(n int, leadsTrain bool) int {
	c := n + n/8
	if leadsTrain {
		c += perTrain
	}
	return c
}

const perTrain = 768

// fits returns the bytes of the largest packet, by itself, whose charge is at most so much;
// 0 or less if there is none.
func fits(charge int) int {
	charge -= perTrain
	return charge/9*8 + min(charge%9, 7)
}

// Window bounds one sender's packets in flight: sent, and not known to have
// arrived at every member. The windows of all senders together fit the smallest
// receive buffer in the view, so that at full load the kernel drops nothing.
type Window struct {
	share    int // of every member at all times
	common   int // divided among the senders that are active
	inflight int // charged bytes
	packets  int
	starting bool // nothing sent since it was last empty has arrived yet
}

// MaxPackets bounds a sender's packets in flight, whatever their size: what the
// receivers' stream memory is laid out for.
const MaxPackets = 4096

// NewWindow returns the window of one of n members whose smallest receive buffer
// has budget bytes of kernel memory. A fifth is left for rows, repairs and what
// the charge does not see; of the rest each member always owns its part of one
// half, and the active senders share the other half: once they have heard of each
// other. So a member that had nothing in flight keeps to its part until its first
// packet has arrived everywhere, for all may begin at the same instant.
func NewWindow(budget, n int) *Window {
	usable := budget / 5 * 4
	return &Window{share: usable / 2 / n, common: usable / 2}
}

// Limit returns the charged bytes that may be in flight while active senders,
// this one included, send.
func (w *Window) Limit(active int) int { return w.share + w.common/max(active, 1) }

// Left returns the charged bytes that may be sent beside what is in flight; 0 or less if none may.
func (w *Window) Left(active int) int {
	if w.packets == 0 || w.starting {
		return w.share - w.inflight
	}
	return w.Limit(active) - w.inflight
}

// Room returns how large a packet may be sent, bytes, from least to most; 0 if none may be.
// A window too small for even one of the least still lets one at a time through.
func (w *Window) Room(least, most, active int) int {
	switch room := fits(w.Left(active)); {
	case w.packets >= MaxPackets:
		return 0
	case room >= least:
		return min(room, most)
	case w.packets == 0:
		return least
	}
	return 0
}

// Sent notes a packet on its way.
func (w *Window) Sent(charge int) {
	w.starting = w.starting || w.packets == 0
	w.inflight += charge
	w.packets++
}

// Acked notes that every member has a packet.
func (w *Window) Acked(charge int) {
	w.starting = false
	w.inflight -= charge
	w.packets--
}

// InFlight returns the charged bytes in flight.
func (w *Window) InFlight() int { return w.inflight }
