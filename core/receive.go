package core

import (
	"cohort/flowctl"
	"cohort/internal/flaw"
	"cohort/order"
	"cohort/slab"
	"cohort/wire"
)

// Receive takes one packet: size bytes at off in slab ref. The caller holds a
// reference for the length of the call; the machine takes references of its own
// to what it keeps. Bytes from the network are hostile: a bad packet is counted
// and dropped.
func (m *Machine) Receive(now int64, ref slab.Ref, off, size int) {
	m.now, m.unsettled, m.news = now, true, true
	b, h := m.pool.Bytes(ref)[off:off+size], &m.head
	if !m.admit(b) {
		return
	}
	var row wire.Row
	if h.HasSections() {
		sec, err := h.Sections(b, m.n)
		if err != nil {
			m.stats.BadPackets++
			return
		}
		row = sec.Row
	}
	from := int(h.Sender)
	m.noteLife(from, h)
	if row != nil {
		m.mergeRow(from, row)
	}
	if h.Flags&wire.WantRow != 0 {
		m.acks.Now(now)
	}
	switch h.Kind {
	case wire.Data:
		m.receiveData(from, ref, off, size)
	case wire.NAK:
		m.repair(from, b[wire.HeaderSize:wire.HeaderSize+h.Body])
	}
}

// ReceiveTrain is Receive for packets that lie back to back, each of segment bytes
// and the last one possibly shorter.
func (m *Machine) ReceiveTrain(now int64, ref slab.Ref, off, size, segment int) {
	for end := off + size; off < end; off += segment {
		m.Receive(now, ref, off, min(segment, end-off))
	}
}

// admit tells whether b is an intact packet of this view from another member, and reads
// its header.
func (m *Machine) admit(b []byte) bool {
	h := &m.head
	switch err := h.Parse(b); {
	case err == wire.ErrVersion || err == nil && h.Local != m.local:
		m.stats.OtherVersion++
	case err != nil:
		m.stats.BadPackets++
	case h.Cluster != m.cfg.Cluster:
		m.stats.OtherCluster++
	case h.View != m.viewKey:
		m.stats.OtherView++
	case !wire.Verify(b):
		m.stats.BadPackets++
		m.stats.BadChecksum++
	case h.Kind < wire.Data || h.Kind > wire.NAK || int(h.Sender) >= m.n || !h.Level.Valid() || h.Kind == wire.Data && h.Seq == 0:
		m.stats.BadPackets++
	case int(h.Sender) == m.self: // ours, repaired by another for everyone
		m.stats.Duplicates++
	default:
		return true
	}
	return false
}

// receiveData takes the data packet of s whose header is in m.head.
func (m *Machine) receiveData(s int, ref slab.Ref, off, size int) {
	st, seq := &m.streams[s], m.head.Seq
	m.stats.PacketsReceived++
	m.stats.BytesReceived += uint64(size)
	switch {
	case seq <= st.rcv || st.has(seq):
		m.stats.Duplicates++
		if m.cfg.Flaws.Has(flaw.DuplicatesDelivered) {
			m.repeats = append(m.repeats, entry{})
			m.keep(&m.repeats[len(m.repeats)-1], ref, off, size)
		}
		return
	case m.flush.frozen && !m.flush.wants(s, seq):
		return
	case seq >= st.low+streamCap, seq != st.rcv+1 && m.held > m.holdMost && !m.flush.frozen:
		m.stats.BeyondWindow++
		return
	}
	st.fit(seq)
	charge := flowctl.Charge(size, false)
	m.keep(st.at(seq), ref, off, size).charge = uint32(charge)
	m.held, m.kept = m.held+charge, m.kept+charge
	st.heard = m.now
	m.rows.Have(s, s, seq)
	m.acks.Arrived(m.now, charge)
	if seq < st.top {
		m.stats.Repaired++
	}
	m.exists(s, seq-1)
	st.top = max(st.top, seq)
	m.advance(s)
}

// keep makes e the packet whose header is in m.head, and takes a reference to its slab.
func (m *Machine) keep(e *entry, ref slab.Ref, off, size int) *entry {
	m.pool.Retain(ref)
	h := &m.head
	e.seq, e.ref, e.off, e.size, e.body = h.Seq, ref, uint32(off), uint32(size), uint16(h.Body)
	e.level, e.flags, e.repaired, e.repairTo = h.Level, h.Flags, 0, 0
	return e
}

// exists notes that packets of s up to seq have been sent: those not here are missing.
func (m *Machine) exists(s int, seq uint64) {
	st := &m.streams[s]
	if seq = min(seq, st.low+streamCap-1); s != m.self && seq > st.top && !m.flush.frozen {
		st.top = seq
		st.gap.Found(m.now)
	}
}

// advance accepts the packets of s that have no hole before them any more.
func (m *Machine) advance(s int) {
	st := &m.streams[s]
	before := st.rcv
	for st.has(st.rcv+1) && (!m.flush.frozen || m.flush.wants(s, st.rcv+1)) && m.hasRoom(st.at(st.rcv+1)) {
		m.accept(s, st.at(st.rcv+1))
	}
	switch {
	case st.rcv >= st.top:
		st.gap.Closed()
	case st.rcv > before:
		st.gap.Progress(m.now)
	}
}

// hasRoom tells whether there is room for what a packet says of the total order. If not
// it stays where it is, not accepted, until the records before its own have come.
func (m *Machine) hasRoom(e *entry) bool {
	if e.flags&wire.HasRecord == 0 || m.flush.frozen || !m.ledger.Crowded() || m.ledger.Near(m.sections(e).Record.T) {
		return true
	}
	if !m.putOff {
		m.putOff, m.putOffAt = true, m.ledger.Known()
	}
	return false
}

// takeUp accepts what was put off, once the chain of records has grown. What grows it is
// never put off, and the records in one stream ascend: so no packet waits for itself.
func (m *Machine) takeUp() {
	for m.putOff && m.ledger.Known() != m.putOffAt {
		m.putOff = false
		for s := range m.streams {
			m.advance(s)
		}
	}
}

// accept takes the packet that follows the last one accepted of s: from here on
// it counts as received.
func (m *Machine) accept(s int, e *entry) {
	st := &m.streams[s]
	st.rcv = e.seq
	m.rows.Have(m.self, s, e.seq)
	if e.flags&wire.WantRow != 0 && s != m.self { // the row that it had sent when it came may not cover it
		m.acks.Now(m.now)
	}
	switch {
	case !e.level.IsSafe():
	case e.level.Order() == order.Total:
		m.safeTotal, st.safeTotal = true, e.seq
	case s != m.self: // that we have our own, the others know
		m.acks.Now(m.now)
	}
	if e.flags&wire.HasRecord != 0 && !m.flush.frozen { // else Finish learns it, if it is in the cut
		m.learn(s, m.sections(e).Record)
	}
}

// sections parses the sections of a packet that was checked when it came.
func (m *Machine) sections(e *entry) wire.Sections {
	h := wire.Header{Flags: e.flags, Body: int(e.body)}
	sec, err := h.Sections(m.bytes(e), m.n)
	if err != nil {
		panic("core: a packet that was checked is malformed: " + err.Error())
	}
	return sec
}

func (m *Machine) learn(s int, r wire.Record) {
	m.stats.Records++
	if m.cfg.Flaws.Has(flaw.RecordsUnordered) {
		r.T = m.ledger.Known() + 1
	}
	holder := m.ledger.Holder()
	if !m.ledger.Learn(r.T, r.Next, r.Cut.AddTo) {
		m.stats.BadPackets++
		return
	}
	if m.ledger.Holder() != holder {
		m.stats.TokenPasses++
	}
	// Its maker had all that it orders; and so all that the chain up to it does,
	// if it had what the records before it order. It need not: it may have taken
	// the token from a record whose data it still lacks.
	switch {
	case s == m.self:
		if m.told >= r.T-1 {
			m.told = r.T
		}
	case m.made[s].to > 0 && m.made[s].to+1 == r.T:
		m.made[s].to = r.T
	default:
		m.made[s] = made{r.T, r.T}
	}
	m.concludeMade(s)
}

// made is the records, one after the other, that a member has made last.
type made struct{ from, to uint64 }

// concludeMade notes that s can carry out the records that it has made, if it is known to be
// able to carry out those before. The row that says so may come after them: s, which has sent it,
// does not say it again.
func (m *Machine) concludeMade(s int) {
	if r := m.made[s]; r.to > 0 && m.rows.Ord(s) >= r.from-1 {
		m.rows.CanOrder(s, r.to)
	}
}

func (m *Machine) mergeRow(from int, row wire.Row) {
	for s := range m.n {
		seq := row.Rcv(s)
		if s == m.self {
			seq = min(seq, m.streams[s].rcv)
		}
		m.rows.Have(from, s, seq)
		m.exists(s, seq)
	}
	m.rows.CanOrder(from, row.Ord())
	m.concludeMade(from)
	if no := row.No(); no > m.rowNos[from] {
		m.rowNos[from] = no
		m.paused &^= 1 << from
		if row.Pause() {
			m.paused |= 1 << from
		}
	}
}

// scan looks at the accepted packets of s in order and notes up to where they
// may be ordered: a total-order packet only when its whole causal past is here,
// so that a cut always covers the past of what it orders.
func (m *Machine) scan(s int) {
	st := &m.streams[s]
	for ; st.scan <= st.rcv; st.scan++ {
		e := st.at(st.scan)
		if e.flags&wire.HasDep != 0 && st.scanAt < e.seq {
			m.sections(e).Dep.AddTo(st.scanDep)
			st.scanAt = e.seq
		}
		if e.level.Order() != order.Total {
			continue
		}
		if s != m.self && !order.Covers(m.rows.Rcv(m.self), st.scanDep) && !m.cfg.Flaws.Has(flaw.CutIgnoresCausality) {
			return
		}
		m.mayOrder(s, e.seq, st.scanDep)
	}
}

// mayOrder notes that total-order packets of s up to seq, whose causal past is
// dep, may be ordered.
func (m *Machine) mayOrder(s int, seq uint64, dep []uint64) {
	m.totals[s] = max(m.totals[s], seq)
	if !m.cfg.Flaws.Has(flaw.CutIgnoresCausality) {
		order.Raise(m.past, dep)
	}
}
