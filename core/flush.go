package core

import (
	"slices"

	"cohort/flowctl"
	"cohort/internal/flaw"
	"cohort/order"
	"cohort/wire"
)

// The end of a view, as seen by its machine. The driver, which agrees with the
// others on the next view meanwhile, calls in this order:
//
//	m.Freeze(now)              stop sending, acknowledging and delivering
//	m.Row()                    what this member holds: its part of the cut
//	m.Fetch(now, cut, holders) get what it lacks of the cut; again if the proposal changes
//	m.Fetched()                until it has all
//	m.Finish(sink, limit)      deliver the rest of the cut, when it is decided
//	m.Release()                give the packet memory back
//
// A frozen machine sends no row: nobody may count a packet as held here that the
// row reported at the freeze does not cover. It goes on answering requests for
// repair, and gives signs of life.

// flush is the state of the end of a view.
type flush struct {
	frozen  bool
	beat    int64    // when the next sign of life is due
	row     []uint64 // this member's at the freeze: records up to there have been learned
	cut     []uint64 // what is being fetched; nil: nothing
	holders []int    // per sender: a rank that has it
	ending  bool     // Finish has begun
	upto    []uint64 // per sender: the part of the cut that is delivered
}

// wants tells whether a frozen machine takes packet seq of s.
func (f *flush) wants(s int, seq uint64) bool { return f.cut != nil && seq <= f.cut[s] }

// holder chooses whom to ask for packets of s: who is said to have them, and
// when that was in vain twice, the others in turn.
func (f *flush) holder(s, tries, self, n int) int {
	if tries < 2 {
		return f.holders[s]
	}
	return (self + 1 + tries%(n-1)) % n
}

// Freeze ends sending, acknowledging and delivering in this view: for good. A
// message that Submit has taken in part is lost with the view; the driver submits
// it again, whole, to the next.
func (m *Machine) Freeze(now int64) {
	if m.flush.frozen {
		return
	}
	m.now = now
	if m.cfg.Flaws.Has(flaw.NotFrozen) {
		return
	}
	if m.pack.open {
		m.closePacket(true)
	}
	m.endTrain()
	m.settle()
	m.flush.frozen, m.flush.beat, m.flush.row = true, now+m.cfg.Heartbeat, m.Row()
}

// Frozen tells whether the view is ending.
func (m *Machine) Frozen() bool { return m.flush.frozen }

// Row returns a copy of this member's row: per sender the highest packet up to
// which it has all.
func (m *Machine) Row() []uint64 { return slices.Clone(m.rows.Rcv(m.self)) }

// Fetch asks for what this member lacks of the cut: per sender the last packet
// that belongs to the view. holders is a rank, per sender, that has all up to there.
// Both are kept. Frozen machines only.
func (m *Machine) Fetch(now int64, cut []uint64, holders []int) {
	m.now = now
	m.flush.cut, m.flush.holders = cut, holders
	for s := range m.streams {
		st := &m.streams[s]
		st.top = max(min(cut[s], st.low+streamCap-1), st.rcv) // no honest sender has more on the way
		st.gap.Closed()
		m.advance(s)
		if st.rcv < cut[s] && s != m.self { // nobody has more of our own, whatever a leader claims
			st.gap.Found(now - flowctl.Reorder) // it is missing, not late
		}
	}
}

// Fetched tells whether all of the cut is here.
func (m *Machine) Fetched() bool {
	return m.flush.cut != nil && order.Covers(m.rows.Rcv(m.self), m.flush.cut)
}

// flushFrozen is Flush of a frozen machine.
func (m *Machine) flushFrozen() {
	m.settle()
	if m.flush.cut != nil {
		m.ask()
	}
	if m.flush.beat <= m.now {
		m.flush.beat = m.now + m.cfg.Heartbeat
		m.control(Multicast, wire.RowOnly, 0, nil)
	}
}

func (m *Machine) frozenDeadline() int64 {
	due := m.flush.beat
	if m.flush.cut != nil {
		for s := range m.streams {
			due = min(due, m.streams[s].gap.Due())
		}
	}
	return due
}

// Finish delivers the rest of the view once its cut is decided and Fetched. It
// returns the number of messages delivered, and done when there are no more; else
// the sink refused one or the limit is reached, and the call is to be repeated.
//
// What is delivered follows from the cut alone, so it is the same at all who
// finish. Messages whose causal past is not in the cut are discarded, with what
// follows them in their stream: their senders, and all that had their past, have
// failed. Records are carried out in their order as far as the data survived.
// Total-order messages that no surviving record orders come next: always the one
// of the lowest rank whose causal past is delivered. Safe messages are delivered
// like others: a majority of the old view has accepted the cut, and so holds them.
func (m *Machine) Finish(sink Sink, limit int) (count int, done bool) {
	if !m.flush.ending {
		m.end()
	}
	d := deliverer{m: m, sink: sink, limit: limit}
	for !d.stop {
		moved := false
		for s := range m.streams {
			moved = d.drain(s) || moved
		}
		moved = d.carryOut() || moved
		if moved || d.stop {
			continue
		}
		s := m.unordered()
		if s < 0 {
			done = true
			break
		}
		m.allowed[s] = m.streams[s].next
	}
	m.stats.MessagesDelivered += uint64(d.count)
	return d.count, done
}

// end draws the conclusions from the cut. Records in packets beyond it do not
// count: this member may have fetched some for a proposal that came to nothing.
func (m *Machine) end() {
	f := &m.flush
	f.ending = true
	if !f.frozen { // flaw.NotFrozen only
		f.frozen, f.row = true, m.Row()
	}
	for s, last := range f.cut {
		for seq := f.row[s] + 1; seq <= last; seq++ {
			if e := m.streams[s].at(seq); e.flags&wire.HasRecord != 0 {
				m.learn(s, m.sections(e).Record)
			}
		}
	}
	f.upto = m.surviving(f.cut)
	for s, last := range f.upto {
		m.stats.Discarded += f.cut[s] - last
	}
}

// surviving returns the part of the cut whose causal past is in the cut.
func (m *Machine) surviving(cut []uint64) []uint64 {
	upto := slices.Clone(cut)
	for changed := true; changed; {
		changed = false
		for s := range m.streams {
			if last := m.pastEnds(s, upto); last < upto[s] {
				upto[s], changed = last, true
			}
		}
	}
	return upto
}

// pastEnds returns the last packet of s up to upto[s] whose past, and that of all
// before it, is within upto.
func (m *Machine) pastEnds(s int, upto []uint64) uint64 {
	st := &m.streams[s]
	dep := slices.Clone(st.dep)
	for seq := st.next; seq <= upto[s]; seq++ {
		e := st.at(seq)
		if e.flags&wire.HasDep != 0 && st.depAt < seq {
			m.sections(e).Dep.AddTo(dep)
		}
		if !order.Covers(upto, dep) {
			return seq - 1
		}
	}
	return upto[s]
}

// unordered returns the lowest rank whose next packet is a total-order one that
// only waits for its place; -1 if there is none.
func (m *Machine) unordered() int {
	for i := range m.streams {
		s := i
		if m.cfg.Flaws.Has(flaw.TailByArrival) {
			s = (m.self + i) % m.n
		}
		st := &m.streams[s]
		if st.next > m.flush.upto[s] || st.next <= m.allowed[s] {
			continue
		}
		if e := st.at(st.next); e.level.Order() == order.Total && order.Covers(m.delivered, st.dep) {
			return s
		}
	}
	return -1
}

// Release gives back all packet memory and the output. The machine must not be
// used afterwards, except for Stats.
func (m *Machine) Release() {
	m.Recycle()
	for s := range m.streams {
		for i := range m.streams[s].ring {
			if e := &m.streams[s].ring[i]; e.seq != 0 {
				m.pool.Release(e.ref)
				*e = entry{}
			}
		}
	}
	if m.pack.ref != 0 {
		m.pool.Release(m.pack.ref)
		m.pack.ref = 0
	}
	for _, e := range m.repeats {
		m.pool.Release(e.ref)
	}
	m.repeats = nil
}

// noteLife notes a packet from a member, unless another may have sent it: packets
// of a dead member are repaired by those who have them.
func (m *Machine) noteLife(from int, h *wire.Header) {
	if h.Kind != wire.Data || h.Seq > m.streams[from].top {
		m.heard[from] = m.now
	}
}

// Heard returns when the member with this rank last gave a sign of life, ns.
func (m *Machine) Heard(rank int) int64 { return m.heard[rank] }

// Pausing tells whether the member with this rank asks senders to pause.
func (m *Machine) Pausing(rank int) bool { return m.paused>>rank&1 != 0 }

// Paused returns who asks senders to pause, as a bit per rank.
func (m *Machine) Paused() uint64 { return m.paused }

// Acknowledged returns the last of this member's packets that the member with
// this rank is known to have, and the last that was sent.
func (m *Machine) Acknowledged(rank int) (has, sent uint64) {
	return m.rows.Rcv(rank)[m.self], m.streams[m.self].rcv
}
