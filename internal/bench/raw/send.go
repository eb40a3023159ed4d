package raw

import (
	"encoding/binary"
	"errors"
	"slices"

	"cohort/batch"
	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/iomulticast"
	"cohort/slab"
	"cohort/wire"
)

const (
	// Trains given to one system call.
	sendTrains = 4

	// creditSize is the bytes in which a receiver says how far it is.
	creditSize = 8

	// perPacket is the kernel memory that a packet takes beside its payload when
	// it travels alone, bytes.
	perPacket = 1024

	// defaultBuffer is assumed where the system does not tell, bytes.
	defaultBuffer = 212_992

	// minFragment is how small a fragment is worth a frame of its own, bytes.
	minFragment = 64

	// parts is how many packets that travel alone, or trains, a window is to hold at least, and
	// leastPacket how small the former get for it, bytes.
	parts       = 2
	leastPacket = 4000
)

// sender is the sending half of a member.
type sender struct {
	id      uint32
	sink    member.Sink
	segment int
	buffer  int // a receiver's, bytes of kernel memory
	row     member.Row
	size    int // of a full packet, bytes
	train   int // packets in a full train

	src     *load.Source
	answers [][]byte // to others' messages, before what src makes
	rest    []byte   // of a message that is packed in part
	begun   bool     // rest is not the whole of it
	next    uint64   // packet
	window  uint64   // packets
	acked   []uint64
	waiting int64 // since when nobody has told anything and the window is closed

	memory  [sendTrains][]byte
	others  []*batch.Addr // who data goes to one by one; nil: to the group
	trains  []batch.Train
	credits [][]byte // memory, one for each sender there can be
	asking  [wire.Overhead]byte
}

func newSender(id uint32, segment, buffer int, sink member.Sink) sender {
	if buffer == 0 {
		buffer = defaultBuffer
	}
	s := sender{id: id, sink: sink, segment: segment, buffer: buffer}
	for i := range s.memory {
		s.memory[i] = make([]byte, slab.Size)
	}
	return s
}

// begin shares a receiver's buffer among the row's senders. A fifth stays free
// for what they say of how far they are.
func (s *sender) begin(row member.Row, others []*batch.Addr) {
	s.row, s.others, s.src, s.answers, s.rest, s.next, s.waiting = row, others, nil, nil, nil, 0, 0
	s.acked = make([]uint64, row.Members)
	s.acked[row.Self] = uint64(clock.Never)
	s.shape(s.buffer / 5 * 4 / row.Senders)
	s.trains = make([]batch.Train, 0, sendTrains*max(len(others), 1)+row.Senders)
	s.credits = make([][]byte, 0, row.Senders)
	for range row.Senders {
		s.credits = append(s.credits, make([]byte, wire.Overhead+creditSize))
	}
	s.credits = s.credits[:0]
}

// shape sets the packets, trains and window by a sender's share of a receiver's buffer. Where
// that is small so are they, for who waits for each packet to arrive measures how long that takes.
func (s *sender) shape(share int) {
	s.size, s.train = s.segment, min(batch.MaxSegments, batch.MaxPayload/s.segment)
	if s.train == 1 {
		s.size = min(s.segment, max(share/parts-perPacket, leastPacket))
	}
	packets := share / (s.size + perPacket)
	s.train = max(1, min(s.train, packets/parts))
	s.window = uint64(max(packets, 1))
}

// credit tells a sender how far we are, with the next trains.
func (s *sender) credit(p *peer) {
	n := len(s.credits)
	s.credits = s.credits[:n+1]
	b := s.credits[n]
	s.header(b, wire.RowOnly, 0, creditSize)
	binary.LittleEndian.PutUint64(b[wire.HeaderSize:], p.highest)
	s.trains = append(s.trains, batch.Train{Buf: b, Segment: len(b), To: &p.addr})
}

// heard takes what a receiver tells.
func (s *sender) heard(receiver int, highest uint64) {
	if highest <= s.next {
		s.acked[receiver] = max(s.acked[receiver], highest)
		s.waiting = 0
	}
}

// closed tells whether the window has no room for a full train. Who only answers has
// none: others pace it.
func (s *sender) closed() bool {
	return s.row.Self < s.row.Senders && s.next+uint64(s.train) > slices.Min(s.acked)+s.window
}

// ask asks receivers how far they are, if the window has been closed for too long: what they
// told may be lost, or all that there was to tell of. It tells whether there is something to
// send. Who asks does not send more instead, for it may as well be that a receiver has not run
// meanwhile, and its buffer is full.
func (s *sender) ask(now int64) bool {
	switch {
	case s.waiting == 0:
		s.waiting = now
	case now-s.waiting > int64(stall):
		s.waiting = 0
		s.header(s.asking[:], wire.RowOnly, s.next, 0)
		s.give(batch.Train{Buf: s.asking[:], Segment: len(s.asking)})
		return true
	}
	return false
}

// sending tells whether there is or may come something to send.
func (s *sender) sending() bool { return s.src != nil || s.pending() }

// pending tells whether there is something that is due.
func (s *sender) pending() bool { return s.rest != nil || len(s.answers) > 0 }

// finished tells whether all that the source had is sent.
func (s *sender) finished() bool {
	return s.src != nil && !s.pending() && s.src.Due() == clock.Never
}

// send sends what is due, as far as the window allows, and what credit has
// prepared. It returns whether data was sent.
func (s *sender) send(conn *iomulticast.Conn) (sent bool, err error) {
	if s.sending() && !s.finished() {
		now := clock.Now()
		for i := 0; i < sendTrains && !s.closed(); i++ {
			n, more := s.pack(s.memory[i], now)
			if n > 0 {
				s.give(batch.Train{Buf: s.memory[i][:n], Segment: s.size})
				sent = true
			}
			if !more {
				break
			}
		}
	}
	for at := 0; at < len(s.trains); {
		n, err := conn.Send(s.trains[at:])
		if at += n; errors.Is(err, batch.ErrAgain) {
			err = conn.WaitWritable(stall)
		}
		if err != nil {
			return sent, err
		}
	}
	s.trains, s.credits = s.trains[:0], s.credits[:0]
	return sent, nil
}

// give puts a train of data where it is to go. To several members it goes from the same
// memory.
func (s *sender) give(t batch.Train) {
	if s.others == nil {
		s.trains = append(s.trains, t)
	}
	for _, to := range s.others {
		t.To = to
		s.trains = append(s.trains, t)
	}
}

// pack fills a train with messages that are due. It returns its length, and
// whether it is full.
func (s *sender) pack(mem []byte, now int64) (n int, full bool) {
	for range s.train {
		var k int
		k, full = s.packet(mem[n:n+s.size], now)
		if n += k; !full {
			break
		}
	}
	return n, full
}

// packet fills a packet and returns its length, and whether it is full: if it is not, no more
// messages are due. The length is 0 if none was, and the segment's in a full packet of several
// that make a train.
func (s *sender) packet(b []byte, now int64) (n int, full bool) {
	pos, limit := wire.HeaderSize, len(b)-wire.SumSize
	for !full {
		if s.rest == nil && !s.take(now) {
			break
		}
		n, full = s.frame(b[pos:limit])
		pos += n
	}
	if pos == wire.HeaderSize {
		return 0, false
	}
	s.next++
	s.header(b, wire.Data, s.next, pos-wire.HeaderSize)
	if full && s.train > 1 {
		return len(b), true
	}
	return pos + wire.SumSize, full
}

// take makes the next message, if it is due. A member has its own at once.
func (s *sender) take(now int64) bool {
	if len(s.answers) > 0 {
		s.rest, s.begun = s.answers[0], false
		s.answers = s.answers[1:]
		return true
	}
	if s.src == nil || s.src.Due() > now {
		return false
	}
	s.rest, s.begun = s.src.Next(), false
	s.sink(s.row.Self, s.rest)
	return true
}

// frame puts the message, or what fits of it, into b. It returns the bytes used
// and whether b is full: exactly as the engine packs.
func (s *sender) frame(b []byte) (n int, full bool) {
	f := wire.Frame{First: !s.begun, Last: true, Size: s.row.Size}
	size := len(s.rest)
	if wire.FrameSize+size > len(b) {
		whole := s.size - wire.HeaderSize - wire.SumSize
		if s.train == 1 && f.First && len(b) < whole && wire.FrameSize+size <= whole {
			return 0, true // in the next one it need not be cut
		}
		head := wire.FrameSize
		if f.Last = false; f.First {
			head = wire.FrameStartSize
		}
		if len(b) < head+max(minFragment, s.size/16) {
			return 0, true
		}
		size = len(b) - head
	}
	n = wire.PutFrame(b, &f, size)
	n += copy(b[n:], s.rest[:size])
	s.rest, s.begun = s.rest[size:], true
	if f.Last {
		s.rest = nil
	}
	return n, !f.Last
}

func (s *sender) header(b []byte, kind wire.Kind, seq uint64, body int) {
	wire.PutHeader(b, wire.Header{
		Kind: kind, Cluster: s.id, View: uint64(s.row.Number), Seq: seq, Sender: uint8(s.row.Self), Body: body,
	})
}
