package core

import (
	"cohort/flowctl"
	"cohort/internal/flaw"
	"cohort/order"
	"cohort/slab"
)

// streamCap is how many packets of one sender are kept: four windows, so that a
// member that delivers slowly asks for a pause long before packets find no place.
const streamCap = 4 * flowctl.MaxPackets

// entry is one packet kept: until every member has it and it is delivered here.
type entry struct {
	seq      uint64 // 0: no packet
	repaired int64  // when it was last sent again, ns; 0: never
	ref      slab.Ref
	off      uint32 // where it begins in the slab
	size     uint32
	body     uint16 // bytes of frames
	level    order.Level
	flags    uint8
	charge   uint32
	repairTo int8 // who asked then; Multicast
}

// stream is what this member knows of one member's packets, its own included.
// The numbers are packets: low <= next <= rcv+1, and scan <= rcv+1.
type stream struct {
	ring []entry // by seq modulo its length, which is a power of two up to streamCap
	low  uint64  // first packet that may still be kept
	next uint64  // next to deliver
	pos  int     // bytes of its frames that have been delivered
	rcv  uint64  // last packet received without a hole before it
	top  uint64  // last packet known to have been sent
	scan uint64  // next packet to look at for the total order
	gap  flowctl.Gap

	heard   int64    // when data last came, ns
	dep     []uint64 // causal past of the packet at next, and of all before it
	depAt   uint64   // last packet whose changes are in dep
	scanDep []uint64 // the same for the packet at scan
	scanAt  uint64

	safeTotal uint64 // last packet that is both safe and total

	part partial
}

// partial is a message of several fragments being put together.
type partial struct {
	active bool
	size   int
	buf    []byte
}

func newStream(n int) stream {
	return stream{
		ring: make([]entry, firstRing), low: 1, next: 1, scan: 1, gap: flowctl.NewGap(),
		dep: make([]uint64, n), scanDep: make([]uint64, n),
	}
}

func (st *stream) at(seq uint64) *entry { return &st.ring[seq&uint64(len(st.ring)-1)] }

// firstRing is how many packets a stream's ring holds at first. It grows with
// what is under way: a view of many members, most of which are silent, is cheap.
const firstRing = 64

// fit makes the ring large enough to keep packet seq, below low+streamCap.
func (st *stream) fit(seq uint64) {
	size := uint64(len(st.ring))
	if seq < st.low+size {
		return
	}
	for seq >= st.low+size {
		size *= 2
	}
	old := st.ring
	st.ring = make([]entry, size)
	for i := range old {
		if old[i].seq != 0 {
			*st.at(old[i].seq) = old[i]
		}
	}
}

// has tells whether packet seq is kept.
func (st *stream) has(seq uint64) bool { return seq >= st.low && st.at(seq).seq == seq }

// bytes returns the packet's memory.
func (m *Machine) bytes(e *entry) []byte {
	return m.pool.Bytes(e.ref)[e.off : e.off+e.size]
}

// giveBack returns to the window what every member has, and ends a beginning: all others know
// that this member sends when they have its first packet, and what they sent before they did, as
// if they were fewer, is on its way no more when all have what they had sent by then.
func (m *Machine) giveBack() {
	own, known := &m.streams[m.self], m.window.Known()
	for ; m.acked < min(m.rows.Stable(m.self), own.rcv); m.acked++ {
		m.window.Acked(int(own.at(m.acked + 1).charge))
	}
	if !m.window.Known() {
		return
	}
	over := true
	for s := range m.streams {
		if !known { // their rows, by which they have it, say what they had sent
			m.drain[s] = m.streams[s].top
		}
		over = over && (s == m.self || m.rows.Stable(s) >= m.drain[s])
	}
	if over {
		m.window.Begun()
	}
}

// forget releases the packets of sender s that everyone has and that have been
// delivered and looked at here.
func (m *Machine) forget(s int) {
	st := &m.streams[s]
	end := min(m.rows.Stable(s)+1, st.next, st.scan)
	if m.cfg.Flaws.Has(flaw.ReleasedTooEarly) {
		end = min(st.next, st.scan)
	}
	for ; st.low < end; st.low++ {
		e := st.at(st.low)
		m.pool.Release(e.ref)
		m.kept -= int(e.charge)
		*e = entry{}
	}
}
