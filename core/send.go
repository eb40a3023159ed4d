package core

import (
	"cohort/flowctl"
	"cohort/internal/flaw"
	"cohort/order"
	"cohort/slab"
	"cohort/wire"
)

// Trains are bounded by what the kernel takes as one buffer: 64 packets, and 65507
// bytes, of which the last few are not worth having: trains of 65504 bytes took
// 1.3 to 3 times the CPU of those up to 65472 (Linux 6.18).
const (
	maxTrainPackets = 64
	maxTrainBytes   = 65472
)

// leastLone is what a packet that is a train by itself has room for at the least, bytes,
// however little room the window has: a message of 8 KiB.
const leastLone = 8384

// packer puts messages into packets and packets into trains. Packets are built
// where they are kept: back to back in a slab, all of one segment size but the
// last of a turn, so that a train is a slice of it. Where two segments do not fit
// a train, each packet is one, and no longer than what is in it.
type packer struct {
	lone    bool // packets are trains
	ref     slab.Ref
	start   int // where the train begins in the slab
	off     int // where its packet under construction begins
	packets int // closed ones of the train

	open    bool
	size    int // what the packet may have, bytes
	pos     int // end of its frames, from off
	limit   int // up to where frames may reach
	level   order.Level
	rides   bool // room for a row is reserved
	orders  bool // room for a record is reserved
	partial bool // a message has been taken in part
	abort   bool // ... and is to be ended without delivery
	message Message

	dep     []uint64 // what a packet closed now depends on: the delivered vector without ourselves
	depSent []uint64 // the same as the receivers know it
}

// Submit packs a message, or the next part of one, into packets. part is the
// payload that was not taken yet, borrowed for the call. It returns how many
// bytes were taken and whether the message is complete; if it is not, the window
// is closed, and the call must be repeated with the rest before any other
// message is submitted.
func (m *Machine) Submit(now int64, msg Message, part []byte) (taken int, done bool) {
	m.now = now
	if m.flush.frozen {
		return 0, false
	}
	if m.news {
		m.settle()
	}
	p := &m.pack
	if p.abort {
		m.putAbort()
	}
	for !p.abort {
		if !p.open && !m.openPacket(false) {
			if m.unsettled { // our own packets may be stable: if there is nobody else
				m.settle()
				continue
			}
			m.asks = m.window.Asks(m.least()) || m.asks
			return taken, false
		}
		var f wire.Frame // field by field, like core.Delivery in hand
		f.Kind, f.First, f.Last, f.Level, f.Group, f.Size = msg.Kind, !p.partial, true, msg.Level, msg.Group, msg.Size
		head, room, rest := wire.FrameSize, p.limit-p.pos, len(part)-taken
		if head+rest > room {
			if f.Last = false; f.First {
				head = wire.FrameStartSize
			}
			if room < head+max(minFragment, p.size/16) || f.First && m.wholeInNext(rest) {
				m.closePacket(false)
				continue
			}
			rest = room - head
		}
		mem := m.pool.Bytes(p.ref)[p.off:]
		p.pos += wire.PutFrame(mem[p.pos:], &f, rest)
		p.pos += copy(mem[p.pos:p.pos+rest], part[taken:])
		taken += rest
		p.level = p.level.Join(msg.Level)
		if p.partial = !f.Last; f.Last {
			m.stats.MessagesSent++
			return taken, true
		}
		p.message = msg
		m.closePacket(false)
	}
	return 0, false
}

// wholeInNext tells whether to leave the rest of the packet under construction empty, so that
// a message of size bytes need not be cut in two. Only a lone packet is sent without its rest.
func (m *Machine) wholeInNext(size int) bool {
	p := &m.pack
	if !p.lone || p.pos == wire.HeaderSize {
		return false
	}
	sections := p.size - p.limit
	next := wire.HeaderSize + wire.FrameSize + size + sections
	return next <= m.mostAt(p.off+p.pos+sections) && flowctl.Charge(p.pos+sections, true)+flowctl.Charge(next, true) <= m.window.Left(m.now, m.active())
}

// minFragment bounds how small a fragment is worth a frame of its own, bytes.
const minFragment = 64

// Abort ends a message of which Submit took only a part: no member delivers it.
func (m *Machine) Abort(now int64) {
	m.now = now
	m.pack.abort = m.pack.partial
}

// putAbort ends the message taken in part, if there is room to say so.
func (m *Machine) putAbort() {
	p := &m.pack
	if !p.open && !m.openPacket(false) {
		return
	}
	if p.limit-p.pos < wire.FrameSize {
		m.closePacket(false)
		if !m.openPacket(false) {
			return
		}
	}
	f := wire.Frame{Kind: p.message.Kind, Last: true, Abort: true, Level: p.message.Level, Group: p.message.Group}
	p.pos += wire.PutFrame(m.pool.Bytes(p.ref)[p.off+p.pos:], &f, 0)
	p.level = p.level.Join(p.message.Level)
	p.abort, p.partial = false, false
}

// Flush ends the turn: it closes the packet under construction, orders what can
// be ordered if the token is here, sends the row if it is due, and asks for what
// is missing.
func (m *Machine) Flush(now int64) {
	m.now = now
	if m.flush.frozen {
		m.flushFrozen()
		return
	}
	m.again = false
	m.settle()
	if m.pack.abort {
		m.putAbort()
	}
	if m.pack.open {
		m.closePacket(true)
	}
	if m.ordersNow() && m.openPacket(true) {
		m.closePacket(true)
	}
	m.endTrain()
	m.sendRow()
	m.ask()
}

func (m *Machine) sendRow() {
	announce := m.announce.Due() <= m.now
	if !announce && !m.asks && m.acks.Due() > m.now {
		return
	}
	flags := uint8(wire.HasRow)
	if announce || m.asks {
		flags |= wire.WantRow
	}
	m.asks = false
	if announce {
		m.stats.Announcements++
		m.announce.Sent(m.now)
	}
	m.stats.RowsSent++
	m.control(Multicast, wire.RowOnly, flags, nil)
}

// Output returns what is to be sent, in order. Valid until Recycle or Detach.
func (m *Machine) Output() []Out { return m.out }

// Recycle takes back what Output returned.
func (m *Machine) Recycle() {
	for i := range m.out {
		m.pool.Release(m.out[i].ref)
	}
	m.out = m.out[:0]
}

// Detach is Recycle for who goes on before it has sent all: what Output returned stays as
// it is until each of the slabs, which are appended to refs, has been released to the pool.
func (m *Machine) Detach(refs []slab.Ref) []slab.Ref {
	for i := range m.out {
		refs = append(refs, m.out[i].ref)
	}
	m.out = m.out[:0]
	return refs
}

// openPacket begins a packet, if the window allows or force is set: records must
// go out even so, for others wait for them.
func (m *Machine) openPacket(force bool) bool {
	p, own := &m.pack, &m.streams[m.self]
	if own.rcv+1 >= own.low+streamCap {
		return false
	}
	seg := m.capacity(force)
	if seg == 0 {
		return false
	}
	m.reserve(seg)
	p.size = seg
	copy(p.dep, m.delivered)
	for s := range m.streams { // a packet delivered in part is in the past of what is sent now
		if st := &m.streams[s]; st.pos > 0 {
			p.dep[s] = st.next
		}
	}
	p.dep[m.self] = 0
	p.open, p.pos, p.level = true, wire.HeaderSize, 0
	p.limit = seg - wire.SumSize
	if k := wire.DeltasSize(p.depSent, p.dep); k > 1 {
		p.limit -= k
	}
	if p.orders = p.packets == maxTrainPackets-1 || p.off+2*seg-p.start > maxTrainBytes; p.orders {
		p.limit -= wire.MaxRecord(m.n)
	}
	if p.rides = m.acks.Waiting() && p.limit-wire.RowSize(m.n) > seg/2; p.rides {
		p.limit -= wire.RowSize(m.n)
	}
	return true
}

// capacity returns what the next packet may have, bytes; 0 if none may be sent. A lone one
// takes what the window has left, or what the slab has.
func (m *Machine) capacity(force bool) int {
	p, most := &m.pack, m.cfg.Segment
	if p.lone && p.ref != 0 {
		most = m.mostAt(p.off)
	}
	switch {
	case force:
		return most
	case m.paused != 0:
		return 0
	}
	return m.window.Room(m.now, m.least(), most, m.active())
}

// least returns what a packet has room for at the least, bytes.
func (m *Machine) least() int {
	if m.pack.lone {
		return min(m.cfg.Segment, leastLone)
	}
	return m.cfg.Segment
}

// mostAt returns what a lone packet may have, bytes, where the slab is used up to off: what is
// left, if that is half a packet, for a slab for each small message would be much memory.
func (m *Machine) mostAt(off int) int {
	if left := slab.Size - off; left >= m.cfg.Segment/2 {
		return min(m.cfg.Segment, left)
	}
	return m.cfg.Segment
}

// reserve makes room for size more bytes in the train under construction, ending
// it, or its slab, if it is full.
func (m *Machine) reserve(size int) {
	p := &m.pack
	if p.packets == maxTrainPackets || p.off+size-p.start > maxTrainBytes {
		m.endTrain()
	}
	if p.ref == 0 || p.off+size > slab.Size {
		m.endTrain()
		if p.ref != 0 {
			m.pool.Release(p.ref)
		}
		p.ref, p.start, p.off = m.pool.Get(), 0, 0
	}
}

// closePacket gives the packet under construction its header and sections and puts
// it into our stream. The final one of a turn is as short as it can be; others are padded,
// for a train's packets are all of one size.
func (m *Machine) closePacket(final bool) {
	p, own := &m.pack, &m.streams[m.self]
	seq := own.rcv + 1
	mem := m.pool.Bytes(p.ref)[p.off : p.off+p.size]
	sec, flags := mem[:p.pos], uint8(0)
	if p.level.Order() >= order.Causal && wire.DeltasSize(p.depSent, p.dep) > 1 {
		sec = wire.AppendDeltas(sec, p.depSent, p.dep)
		copy(p.depSent, p.dep)
		flags |= wire.HasDep
	}
	if p.level.Order() == order.Total {
		m.mayOrder(m.self, seq, p.depSent)
	}
	if final || p.orders {
		sec, flags = m.appendRecord(sec, flags)
	}
	if p.rides {
		sec = m.appendRow(sec)
		flags |= wire.HasRow
		m.stats.RowsRiding++
	}
	size := p.size
	if final || p.lone {
		size = len(sec) + wire.SumSize
	} else {
		clear(mem[len(sec) : size-wire.SumSize])
	}
	charge := flowctl.Charge(size, p.packets == 0)
	m.window.Sent(m.now, charge)
	if !final && m.window.Asks(m.least()) { // there is more to send
		flags |= wire.WantRow
	}
	m.header(mem, wire.Data, seq, p.level, flags, p.pos-wire.HeaderSize)
	wire.Seal(mem[:size])
	m.keepOwn(size, charge)
	p.open = false
	p.packets++
	p.off += size
	if final || p.lone {
		m.endTrain()
	}
}

// keepOwn puts the packet under construction, whose header is in m.head, into our
// stream.
func (m *Machine) keepOwn(size, charge int) {
	own, seq := &m.streams[m.self], m.head.Seq
	own.fit(seq)
	e := m.keep(own.at(seq), m.pack.ref, m.pack.off, size)
	e.charge = uint32(charge)
	m.held, m.kept = m.held+charge, m.kept+charge
	own.top = seq
	m.stats.PacketsSent++
	m.stats.BytesSent += uint64(size)
	m.unsettled = true
	m.accept(m.self, e)
}

// header writes a packet's header into b, and into m.head.
func (m *Machine) header(b []byte, kind wire.Kind, seq uint64, level order.Level, flags uint8, body int) {
	h := &m.head
	h.Local, h.Kind, h.Cluster, h.View, h.Seq = m.local, kind, m.cfg.Cluster, m.viewKey, seq
	h.Sender, h.Level, h.Flags, h.Body = uint8(m.self), level, flags, body
	h.Put(b)
}

// ordersNow tells whether the token is here and there is something to order.
func (m *Machine) ordersNow() bool {
	if m.ledger.Holder() != m.self && !m.cfg.Flaws.Has(flaw.TwoHolders) {
		return false
	}
	last := m.ledger.Last()
	for s, t := range m.totals {
		if t > last[s] {
			return true
		}
	}
	return false
}

// appendRecord appends the next ordering record, if it is ours to make and there
// is something to order and room for it.
func (m *Machine) appendRecord(sec []byte, flags uint8) ([]byte, uint8) {
	if !m.ordersNow() {
		return sec, flags
	}
	last := m.ledger.Last()
	copy(m.cut, last)
	order.Raise(m.cut, m.totals)
	order.Raise(m.cut, m.past)
	row := 0
	if m.pack.rides {
		row = wire.RowSize(m.n)
	}
	if len(sec)+wire.RecordSize(last, m.cut)+row+wire.SumSize > m.pack.size {
		return sec, flags
	}
	next := order.NextHolder(m.self, last, m.totals)
	return wire.AppendRecord(sec, m.ledger.Known()+1, next, last, m.cut), flags | wire.HasRecord
}

func (m *Machine) appendRow(b []byte) []byte {
	m.rowNo++
	m.acks.Sent(m.now)
	m.told = m.rows.Ord(m.self)
	pause := m.paused>>m.self&1 != 0
	return wire.AppendRow(b, m.rowNo, m.rows.Ord(m.self), pause, m.rows.Rcv(m.self))
}

// endTrain puts the closed packets of the train into the output.
func (m *Machine) endTrain() {
	p := &m.pack
	if p.packets == 0 {
		return
	}
	m.emitOut(Multicast, p.off-p.start, m.cfg.Segment)
	p.start, p.packets = p.off, 0
}

// emitOut puts size bytes from the packer's start into the output.
func (m *Machine) emitOut(to, size, segment int) {
	p := &m.pack
	m.pool.Retain(p.ref)
	m.out = append(m.out, Out{To: to, Buf: m.pool.Bytes(p.ref)[p.start : p.start+size], Segment: segment, ref: p.ref})
}

// control sends a packet that is not part of our stream: nothing repairs it.
func (m *Machine) control(to int, kind wire.Kind, flags uint8, body []byte) {
	p := &m.pack
	m.endTrain()
	most := wire.HeaderSize + len(body) + wire.RowSize(m.n) + wire.SumSize
	m.reserve(most)
	mem := m.pool.Bytes(p.ref)[p.off : p.off+most]
	sec := append(mem[:wire.HeaderSize], body...)
	if flags&wire.HasRow != 0 {
		sec = m.appendRow(sec)
	}
	size := len(sec) + wire.SumSize
	m.header(mem, kind, 0, 0, flags, len(body))
	wire.Seal(mem[:size])
	m.emitOut(to, size, size)
	p.off += size
	p.start = p.off
}
