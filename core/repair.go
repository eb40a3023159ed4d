package core

import (
	"cohort/flowctl"
	"cohort/internal/flaw"
	"cohort/wire"
)

// maxRepairs bounds the packets that one request is answered with: more would
// overrun the asker's buffer, which asks again for what it still lacks.
const maxRepairs = 512

// maxRepairBytes bounds the bytes of those packets likewise.
const maxRepairBytes = 512 << 10

// repair answers a request for packets from the member with rank to. Anybody
// that has a packet can repair it. The first to ask gets it by unicast, so that
// bystanders are not woken; if another asks soon after, all get it.
func (m *Machine) repair(to int, body []byte) {
	s, ranges, err := wire.ParseNAK(body, m.n, m.ranges[:0])
	if err != nil {
		m.stats.BadPackets++
		return
	}
	m.stats.NAKsReceived++
	if m.cfg.Flaws.Has(flaw.NoRepair) {
		return
	}
	st := &m.streams[s]
	budget, bytes := maxRepairs, maxRepairBytes
	for _, r := range ranges {
		last := min(r.From+uint64(r.Count), st.top+1) // exclusive
		for seq := max(r.From, st.low); seq < last && budget > 0 && bytes > 0; seq++ {
			budget--
			if e := st.at(seq); e.seq == seq {
				bytes -= m.resend(e, to)
			}
		}
	}
}

// resend sends packet e to rank to, or to all, unless it is on its way already.
// It returns the bytes sent.
func (m *Machine) resend(e *entry, to int) int {
	if e.repaired != 0 && m.now-e.repaired < flowctl.RepairHold {
		if int(e.repairTo) == to || e.repairTo == Multicast {
			return 0
		}
		to = Multicast
	}
	e.repaired, e.repairTo = m.now, int8(to)
	m.stats.Retransmitted++
	m.pool.Retain(e.ref)
	m.out = append(m.out, Out{To: to, Buf: m.bytes(e), Segment: int(e.size), ref: e.ref})
	return int(e.size)
}

// ask sends the requests for missing packets that are due.
func (m *Machine) ask() {
	for s := range m.streams {
		st := &m.streams[s]
		if st.gap.Due() > m.now || s == m.self {
			continue
		}
		from, tries := st.gap.Ask(m.now, st.rcv+1, st.top)
		if m.cfg.Flaws.Has(flaw.GapSkipped) {
			m.skipGap(s)
			continue
		}
		if ranges := m.missing(st, from); len(ranges) > 0 {
			m.stats.NAKsSent++
			m.control(m.repairer(s, tries), wire.NAK, 0, wire.AppendNAK(m.scratch, s, ranges))
		}
	}
}

// missing lists the packets of a stream from from on that are known to exist and
// are not here.
func (m *Machine) missing(st *stream, from uint64) []wire.Range {
	ranges, most := m.ranges[:0], wire.RangesIn(m.cfg.Segment)
	for seq := from; seq <= st.top; seq++ {
		if st.has(seq) {
			continue
		}
		if k := len(ranges); k > 0 && ranges[k-1].From+uint64(ranges[k-1].Count) == seq {
			ranges[k-1].Count++
			continue
		}
		if len(ranges) == most {
			break
		}
		ranges = append(ranges, wire.Range{From: seq, Count: 1})
	}
	return ranges
}

// repairer chooses whom to ask for packets of s: s itself, and when that was in
// vain twice, in turn the members that have what is missing.
func (m *Machine) repairer(s, tries int) int {
	if m.flush.cut != nil {
		return m.flush.holder(s, tries, m.self, m.n)
	}
	if tries < 2 {
		return s
	}
	for i := range m.n {
		if k := (s + tries + i) % m.n; k != m.self && m.rows.Rcv(k)[s] > m.streams[s].rcv {
			return k
		}
	}
	return s
}

// skipGap is flaw.GapSkipped: it puts an empty packet in the place of each missing one.
func (m *Machine) skipGap(s int) {
	st := &m.streams[s]
	for seq := st.rcv + 1; seq <= st.top; seq++ {
		if !st.has(seq) {
			*st.at(seq) = entry{seq: seq, ref: m.pool.Get()}
		}
	}
	m.advance(s)
}
