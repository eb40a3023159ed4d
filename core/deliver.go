package core

import (
	"cohort/internal/flaw"
	"cohort/order"
	"cohort/wire"
)

// Deliver hands deliverable messages to sink until there are none, the sink
// refuses one, or the limit is reached. It returns the number delivered.
func (m *Machine) Deliver(sink Sink, limit int) int {
	if m.flush.frozen {
		return 0
	}
	if m.unsettled {
		m.settle()
	}
	m.safeWait = false
	d := deliverer{m: m, sink: sink, limit: limit}
	d.repeats()
	for moved := true; moved && !d.stop; {
		moved = false
		for s := range m.streams {
			moved = d.drain(s) || moved
		}
		moved = d.carryOut() || moved
	}
	m.stats.MessagesDelivered += uint64(d.count)
	if d.packets > 0 {
		m.unsettled, m.news = true, true // what is delivered may be forgotten
		m.considerPause()                // the senders may go on
		m.again = m.Pausing(m.self)
	}
	if m.safeWait {
		m.announce.Wait(m.now)
	}
	return d.count
}

// deliverer is one call of Deliver.
type deliverer struct {
	m              *Machine
	sink           Sink
	limit          int
	count, packets int
	stop           bool
}

// drain delivers the packets at the head of the stream of s that may be, and
// tells whether there were any.
func (d *deliverer) drain(s int) bool {
	m := d.m
	st := &m.streams[s]
	first, last := st.next, st.rcv
	if m.flush.ending {
		last = m.flush.upto[s]
	}
	for st.next <= last && !d.stop {
		e := st.at(st.next)
		if !m.ready(s, st, e) || !d.packet(s, st, e) {
			break
		}
		m.delivered[s] = st.next
		m.held -= int(e.charge)
		st.next++
		st.pos = 0
		d.packets++
		d.stop = d.stop || d.count >= d.limit
	}
	return st.next > first
}

// carryOut delivers what the next ordering records order: sender by sender in
// rank order, each up to the cut.
func (d *deliverer) carryOut() (moved bool) {
	m := d.m
	for !d.stop {
		_, cut, ok := m.ledger.Cut()
		if !ok {
			return moved
		}
		for ; m.stage < m.n; m.stage++ {
			end := cut[m.stage]
			if m.flush.ending { // as far as the data has survived
				end = min(end, m.flush.upto[m.stage])
			}
			m.allowed[m.stage] = end
			moved = d.drain(m.stage) || moved
			if m.streams[m.stage].next <= end {
				return moved
			}
		}
		m.ledger.Done()
		m.stage = 0
		moved = true
	}
	return moved
}

// ready tells whether the packet at the head of the stream of s may be delivered
// at its level: its causal past is delivered, its place in the total order has
// come, and enough members have it and its past.
func (m *Machine) ready(s int, st *stream, e *entry) bool {
	if e.flags&wire.HasDep != 0 {
		if st.depAt < e.seq {
			m.sections(e).Dep.AddTo(st.dep)
			st.depAt = e.seq
		}
		if !order.Covers(m.delivered, st.dep) && !m.cfg.Flaws.Has(flaw.CausalUnchecked) {
			return false
		}
	}
	total := e.level.Order() == order.Total
	if total && e.seq > m.allowed[s] && !m.cfg.Flaws.Has(flaw.TotalOnReceipt) {
		return false
	}
	if !e.level.IsSafe() || m.flush.ending || m.cfg.Flaws.Has(flaw.SafeTooEarly) {
		return true
	}
	if !m.safe(s, st, e, total) {
		m.safeWait = true
		return false
	}
	return true
}

// safe tells whether enough members have e and all before it: its stream, and
// the causal past of that; for a total-order packet, all that the record orders
// and the records before it did.
func (m *Machine) safe(s int, st *stream, e *entry, total bool) bool {
	if total {
		t, _, ok := m.ledger.Cut()
		return ok && m.rows.OrdCovered(e.level) >= t
	}
	return m.rows.Covered(e.level, s) >= e.seq &&
		(m.rows.CoversVector(e.level, st.dep) || m.cfg.Flaws.Has(flaw.SafeIgnoresPast))
}

// packet delivers the messages in e; false if the sink refused one, or the limit is reached
// before the last: a packet may have a thousand, and the driver's clock is not to wait for them.
func (d *deliverer) packet(s int, st *stream, e *entry) bool {
	m := d.m
	begin := wire.HeaderSize
	body := m.bytes(e)[begin : begin+int(e.body)]
	m.delivery.Sender, m.delivery.Packet = s, e.seq
	for st.pos < len(body) {
		if d.count >= d.limit {
			d.stop = true
			return false
		}
		if n, ok := d.whole(st, e, body[st.pos:]); n > 0 {
			if !ok {
				return false
			}
			st.pos += n
			continue
		}
		n := wire.NextFrame(body[st.pos:], &m.frame)
		if n == 0 { // the same at every member: it came unhurt
			m.stats.BadFrames++
			return true
		}
		if !d.fragment(st) {
			d.stop = true
			return false
		}
		st.pos += n
	}
	return true
}

// whole delivers the frame at the start of b and returns its length, if it is a whole message;
// 0 if it is not, or malformed. ok is false if the sink refused it.
func (d *deliverer) whole(st *stream, e *entry, b []byte) (n int, ok bool) {
	if len(b) < wire.FrameSize {
		return 0, false
	}
	h := wire.HeadOf(b)
	end := wire.FrameSize + h.Size()
	if !h.Whole() || end > len(b) {
		return 0, false
	}
	st.part.active = false
	// Field by field: a composite would be put together elsewhere and copied, and
	// the copy's wide loads wait for the narrow stores before them.
	out := &d.m.delivery
	out.Group, out.Kind, out.Level, out.Payload = h.Group(), h.Kind(), h.Level(), b[wire.FrameSize:end]
	out.Pos, out.Slab, out.Keep = st.pos, e.ref, false
	if !d.sink.Deliver(out) {
		d.stop = true
		return end, false
	}
	d.count++
	return end, true
}

// fragment puts the frame in m.frame together with the ones before it, and delivers the
// message if it is its last.
func (d *deliverer) fragment(st *stream) bool {
	m := d.m
	f, part := &m.frame, &st.part
	switch {
	case f.Abort:
		part.active = false
		return true
	case f.First:
		part.begin(f.Size, &m.spare)
	}
	if !part.active || len(part.buf)+len(f.Payload) > part.size {
		part.active = false
		m.stats.BadFrames++
		return true
	}
	part.add(f.Payload)
	if !f.Last {
		return true
	}
	if len(part.buf) != part.size {
		part.active = false
		m.stats.BadFrames++
		return true
	}
	if !d.hand(st, part.buf) {
		part.buf = part.buf[:len(part.buf)-len(f.Payload)]
		return false
	}
	part.end(m.delivery.Keep, &m.spare)
	return true
}

const (
	leastBuffer = 64 << 10 // bytes that a message is put together in, at first
	keepBuffer  = 4 << 20  // the most that each stream keeps
)

// begin starts a message of size bytes.
func (p *partial) begin(size int, spare *[]byte) {
	if size > cap(p.buf) && cap(*spare) > cap(p.buf) {
		p.buf, *spare = *spare, p.buf
	}
	p.active, p.size, p.buf = size <= MaxMessage, size, p.buf[:0]
}

// end ends a message that has been delivered, whose memory is another's if kept is set. One
// buffer of any size is spared for all streams: else each message of a flood of the largest
// ones would have it made anew.
func (p *partial) end(kept bool, spare *[]byte) {
	p.active = false
	if !kept && cap(p.buf) <= keepBuffer {
		return
	}
	if !kept && cap(p.buf) > cap(*spare) {
		*spare = p.buf
	}
	p.buf = nil
}

// add appends a fragment. Memory is taken as fragments come, not as the first one claims.
func (p *partial) add(b []byte) {
	if need := len(p.buf) + len(b); need > cap(p.buf) {
		larger := make([]byte, len(p.buf), max(need, min(p.size, max(leastBuffer, 2*cap(p.buf)))))
		copy(larger, p.buf)
		p.buf = larger
	}
	p.buf = append(p.buf, b...)
}

// hand gives the sink a message that was put together.
func (d *deliverer) hand(st *stream, payload []byte) bool {
	m := d.m
	out := &m.delivery
	out.Group, out.Kind, out.Level, out.Payload = m.frame.Group, m.frame.Kind, m.frame.Level, payload
	out.Pos, out.Slab, out.Keep = st.pos, 0, false
	if !d.sink.Deliver(out) {
		return false
	}
	d.count++
	return true
}

// repeats is flaw.DuplicatesDelivered.
func (d *deliverer) repeats() {
	for _, e := range d.m.repeats {
		st := stream{}
		d.packet(int(d.m.bytes(&e)[24]), &st, &e)
		d.m.pool.Release(e.ref)
	}
	d.m.repeats = d.m.repeats[:0]
}
