package sim

import (
	"math"

	"cohort/core"
	"cohort/membership"
	"cohort/slab"
)

const (
	cluster    = 7
	turnCost   = 1000 // virtual ns that a turn takes,
	packetCost = 200  // and each packet in it
	idleTurns  = 50   // turns in a row that nothing asked for and that did nothing: a machine that spins
	patience   = 3    // turns that a message to be aborted waits for its window
)

// member is a program with a machine: the simulator's driver, in the order that
// package core prescribes.
type member struct {
	w    *world
	rank int
	m    *core.Machine
	pool *slab.Pool

	inbox    []packet // the socket buffer
	buffered int      // bytes charged to it
	slab     slab.Ref // that packets are received into; 0: none
	used     int      // bytes of it

	queue  []*Message // accepted from the program, not yet wholly submitted
	taken  int        // bytes of the first of them that the machine took
	waited int        // turns that it has waited for the window
	buf    []byte     // its payload

	took int    // messages that the program took in this turn
	kept []kept // payloads that the program kept for ever

	turnAt      int64 // the next turn; math.MaxInt64: none
	busyUntil   int64
	pausedUntil int64
	slowUntil   int64
	idle        int // turns in a row that did nothing
}

func newMember(w *world, v membership.View, rank int) (*member, error) {
	pool := slab.NewPool()
	cfg := core.Config{Cluster: cluster, Segment: w.s.Segment, HoldLimit: w.s.HoldLimit, Flaws: w.flaws}
	m, err := core.New(w.now, cfg, v, rank, pool)
	return &member{w: w, rank: rank, m: m, pool: pool, turnAt: math.MaxInt64}, err
}

// turn drives the machine once.
func (m *member) turn() {
	m.turnAt = math.MaxInt64
	if m.w.now < m.pausedUntil {
		m.w.wake(m, m.pausedUntil)
		return
	}
	m.w.res.Turns++
	m.w.turns[m.rank]++
	got := m.receive()
	put := m.submit()
	m.m.Flush(m.w.now)
	sent := m.output()
	queued := len(m.queue)
	m.took = 0
	took := m.m.Deliver(m, m.w.s.Deliver)
	m.busyUntil = m.w.now + max(m.w.s.Nap, turnCost+int64(got+sent)*packetCost)
	m.checkMemory()
	m.schedule(took >= m.w.s.Deliver || m.full() || len(m.queue) > queued && m.waited == 0, got+put+sent+took > 0)
}

// schedule asks for the next turn: at once if more is known to wait, else when
// the machine says.
func (m *member) schedule(more, busy bool) {
	deadline := m.m.Deadline()
	if busy || deadline > m.w.now {
		m.idle = 0
	} else if m.idle++; m.idle > idleTurns {
		m.w.h.fail("NoSpin", m.rank, "Deadline is not in the future after %d turns that did nothing", m.idle)
	}
	if more || len(m.inbox) > 0 {
		deadline = m.w.now
	}
	if m.slowUntil > m.w.now {
		deadline = min(deadline, m.slowUntil)
	}
	if deadline != math.MaxInt64 {
		m.w.wake(m, deadline)
	}
}

// receive hands the machine what is in the socket buffer. Like a driver that
// does not want a slab wasted on each lone datagram, it puts packets back to back
// into a slab until that is full.
func (m *member) receive() int {
	n := min(len(m.inbox), m.w.s.Batch)
	for _, p := range m.inbox[:n] {
		if m.slab == 0 || m.used+len(p.bytes) > slab.Size {
			m.release()
			m.slab, m.used = m.pool.Get(), 0
		}
		off := m.used
		m.used += copy(m.pool.Bytes(m.slab)[off:], p.bytes)
		m.buffered -= charge(p)
		if p.number > 0 {
			m.w.h.Hold(m.rank, p.sender, p.number)
		}
		if m.w.trace != nil {
			m.w.trace.add(m.w.now, m.rank, "<- %d  %s", p.from, describe(p.bytes, m.w.s.Members))
		}
		m.m.Receive(m.w.now, m.slab, off, len(p.bytes))
		if m.w.s.OwnSlab {
			m.release()
		}
	}
	m.inbox = m.inbox[n:]
	return n
}

// release lets go of the slab that packets are received into.
func (m *member) release() {
	if m.slab != 0 {
		m.pool.Release(m.slab)
		m.slab = 0
	}
}

// submit hands the machine what the program has sent, until a window closes. It
// returns how many messages went in wholly or in part.
func (m *member) submit() int {
	n := 0
	for len(m.queue) > 0 {
		msg := m.queue[0]
		if !msg.begun {
			m.buf = msg.payload(m.buf)
			m.w.h.Begin(msg)
		}
		taken, done := m.m.Submit(m.w.now, msg.header(), m.buf[m.taken:])
		if taken < 0 || m.taken+taken > msg.Size || done && m.taken+taken != msg.Size {
			m.w.h.fail("Submit", m.rank, "took %d B after %d of %d, done %t", taken, m.taken, msg.Size, done)
			return n
		}
		m.taken += taken
		if done || taken > 0 {
			n++
			m.w.checkPrompt(m.rank)
		}
		if !done {
			m.wait(msg)
			return n
		}
		m.w.h.Complete(msg)
		m.next()
	}
	return n
}

// wait gives up a message that is to be aborted once it has waited a while.
func (m *member) wait(msg *Message) {
	if m.waited++; msg.abort && m.taken > 0 && m.waited > patience {
		m.m.Abort(m.w.now)
		m.w.h.Abort(msg)
		m.next()
	}
}

func (m *member) next() {
	m.queue = m.queue[1:]
	m.taken, m.waited = 0, 0
}

// output puts on the network what the machine wants sent.
func (m *member) output() int {
	n := m.w.res.Packets
	for _, out := range m.m.Output() {
		m.w.send(m.rank, out)
	}
	m.m.Recycle()
	return m.w.res.Packets - n
}

// Deliver is the program's side: it takes a message, or none while it is slow,
// and answers if the message asks for it.
func (m *member) Deliver(d *core.Delivery) bool {
	if m.w.now < m.slowUntil || m.full() {
		return false
	}
	m.took++
	m.w.checkPrompt(m.rank)
	msg := m.w.h.Deliver(m.rank, d)
	if m.w.trace != nil {
		m.w.trace.add(m.w.now, m.rank, "   delivers %v", msg)
	}
	if msg != nil && msg.Index%keepEvery == 0 {
		m.keep(msg, d)
	}
	if msg != nil && msg.chain > 0 && msg.answers(m.rank) {
		m.queue = append(m.queue, m.w.h.Accept(m.rank, msg.answer(m.w.s.Segment)))
	}
	return true
}

// full tells whether the program takes no more in this turn.
func (m *member) full() bool { return m.w.s.Take > 0 && m.took >= m.w.s.Take }

// keepEvery is of how many messages one is kept.
const keepEvery = 8

// kept is a payload that was borrowed from a slab or a machine and kept, as a
// program may.
type kept struct {
	msg     *Message
	payload []byte
}

func (m *member) keep(msg *Message, d *core.Delivery) {
	if d.Slab != 0 {
		m.pool.Pin(d.Slab)
	} else {
		d.Keep = true
	}
	m.kept = append(m.kept, kept{msg, d.Payload})
}
