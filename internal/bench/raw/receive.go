package raw

import (
	"encoding/binary"
	"net/netip"

	"cohort/batch"
	"cohort/internal/bench/member"
	"cohort/iomulticast"
	"cohort/slab"
	"cohort/wire"
)

// Trains taken by one system call: few, so that their memory stays in the cache.
const recvTrains = 8

// receiver is the receiving half of a member.
type receiver struct {
	id     uint32
	sink   member.Sink
	row    member.Row
	peers  []peer
	memory [recvTrains][]byte
	trains [recvTrains]batch.Train
}

// peer is what a receiver knows of one sender.
type peer struct {
	from    netip.AddrPort
	addr    batch.Addr
	highest uint64 // packet
	told    uint64 // the highest when we last told the sender
	asked   bool   // it asks how far we are
	part    []byte // a message whose end has not come
	whole   bool   // nothing of it is missing
}

func newReceiver(id uint32, sink member.Sink) receiver {
	r := receiver{id: id, sink: sink}
	for i := range r.memory {
		r.memory[i] = make([]byte, slab.Size)
	}
	return r
}

func (r *receiver) begin(row member.Row) {
	r.row, r.peers = row, make([]peer, row.Members)
	writers := row.Senders
	if row.Timing == member.RoundTrip {
		writers = row.Members // of answers
	}
	for i := range writers {
		r.peers[i].part = make([]byte, 0, row.Size)
	}
}

// receive takes some of what has come, hands it up and tells its senders. It
// returns how many bytes that was and whether it was all.
func (r *receiver) receive(conn *iomulticast.Conn, out *sender) (got int, drained bool, err error) {
	trains, err := r.take(conn.RecvMulticast)
	if err != nil {
		return 0, false, err
	}
	got = r.all(trains, out)
	drained = len(trains) < recvTrains
	// What comes after the last row has ended must be taken too: a socket with something in
	// it wakes whoever waits, and this loop would spin beside what is measured next.
	if out.others != nil || out.sending() || got == 0 {
		trains, err = r.take(conn.RecvUnicast)
		bytes := r.all(trains, out)
		if out.others != nil { // what members say of how far they are makes nobody busy
			got += bytes
			drained = drained && len(trains) < recvTrains
		}
	}
	r.tell(out)
	return got, drained, err
}

// all takes what came in trains: data, and what members say of how far they are.
func (r *receiver) all(trains []batch.Train, out *sender) (bytes int) {
	for i := range trains {
		bytes += len(trains[i].Buf)
		r.packets(&trains[i], out)
	}
	return bytes
}

// take receives into the receiver's own memory.
func (r *receiver) take(recv func([]batch.Train) (int, error)) ([]batch.Train, error) {
	for i := range r.trains {
		r.trains[i].Buf = r.memory[i]
	}
	n, err := recv(r.trains[:])
	return r.trains[:n], err
}

// packets takes the packets of a train that are of this row.
func (r *receiver) packets(t *batch.Train, out *sender) {
	for rest := t.Buf; len(rest) > 0; {
		b := rest[:min(t.Segment, len(rest))]
		rest = rest[len(b):]
		h, err := wire.Parse(b)
		if err != nil || h.Cluster != r.id || h.View != uint64(r.row.Number) || int(h.Sender) >= len(r.peers) {
			continue
		}
		switch body := b[wire.HeaderSize : wire.HeaderSize+h.Body]; {
		case h.Kind == wire.Data:
			r.data(int(h.Sender), t, h, body)
		case h.Kind == wire.RowOnly && len(body) == creditSize: // also between two phases, or the next begins with a closed window
			out.heard(int(h.Sender), binary.LittleEndian.Uint64(body))
		case h.Kind == wire.RowOnly && int(h.Sender) < r.row.Senders:
			r.ask(int(h.Sender), t, h)
		}
	}
}

// peer returns what is known of a sender, who sent a train.
func (r *receiver) peer(sender int, t *batch.Train) *peer {
	p := &r.peers[sender]
	if p.from != t.From {
		p.from, p.addr = t.From, batch.MakeAddr(t.From)
	}
	return p
}

// data takes one packet of a sender.
func (r *receiver) data(sender int, t *batch.Train, h wire.Header, body []byte) {
	p := r.peer(sender, t)
	p.whole = p.whole && h.Seq == p.highest+1
	p.highest = h.Seq
	var f wire.Frame
	for len(body) > 0 {
		n := wire.NextFrame(body, &f)
		if n == 0 {
			return
		}
		body = body[n:]
		if f.First && f.Last {
			r.sink(sender, f.Payload)
			continue
		}
		r.fragment(p, sender, &f)
	}
}

// ask notes that a sender asks how far we are. All that it sent before is here, or lost.
func (r *receiver) ask(sender int, t *batch.Train, h wire.Header) {
	p := r.peer(sender, t)
	p.whole = p.whole && h.Seq == p.highest
	p.highest, p.asked = max(p.highest, h.Seq), true
}

// fragment puts a message together, unless something of it is missing.
func (r *receiver) fragment(p *peer, sender int, f *wire.Frame) {
	if f.First {
		p.part, p.whole = p.part[:0], true
	}
	if len(p.part)+len(f.Payload) > cap(p.part) {
		p.whole = false
	}
	if !p.whole {
		return
	}
	if p.part = append(p.part, f.Payload...); f.Last {
		r.sink(sender, p.part)
	}
}

// tell tells senders how far we are, each quarter of their window, and those that ask.
func (r *receiver) tell(out *sender) {
	for i := range r.row.Senders {
		p := &r.peers[i]
		if p.asked || p.highest-p.told >= max(out.window/4, 1) {
			p.told, p.asked = p.highest, false
			out.credit(p)
		}
	}
}
