package snapshot

import "encoding/binary"

var le = binary.LittleEndian

const (
	tagLetter = 1
	tagMarker = 2
	tagReport = 3

	letterHead = 1 + 8 + 8
	markerSize = 1 + 8
	reportHead = 1 + 8 + 8 + 8 + 2
	countSize  = 8 + 8
)

// letter is one of the program's messages.
type letter struct {
	from    uint64
	to      uint64 // ID of a member, or All
	num     uint64 // counts those of the same sender, from 1; told by its place, not written
	payload []byte
}

func (l letter) append(b []byte) []byte {
	b = le.AppendUint64(append(b, tagLetter), l.from)
	return append(le.AppendUint64(b, l.to), l.payload...)
}

// parseLetter borrows b, as do the others; false if it is none.
func parseLetter(b []byte) (l letter, ok bool) {
	if len(b) < letterHead || b[0] != tagLetter {
		return l, false
	}
	return letter{from: le.Uint64(b[1:]), to: le.Uint64(b[9:]), payload: b[letterHead:]}, true
}

// A marker has the number of the snapshot, of those that its sender takes.
func appendMarker(b []byte, num uint64) []byte { return le.AppendUint64(append(b, tagMarker), num) }

func parseMarker(b []byte) (num uint64, ok bool) {
	if len(b) != markerSize || b[0] != tagMarker {
		return 0, false
	}
	return le.Uint64(b[1:]), true
}

// report is one member's part of a snapshot.
type report struct {
	taker uint64 // member that takes the snapshot
	num   uint64 // which of its snapshots
	sent  uint64 // messages that the member had sent
	got   []count
	state []byte
}

// count is how many messages of a member had come.
type count struct{ id, messages uint64 }

// had returns how many messages of a member had come.
func (r report) had(id uint64) uint64 {
	for _, c := range r.got {
		if c.id == id {
			return c.messages
		}
	}
	return 0
}

func (r report) append(b []byte) []byte {
	b = append(b, tagReport)
	for _, k := range []uint64{r.taker, r.num, r.sent} {
		b = le.AppendUint64(b, k)
	}
	b = le.AppendUint16(b, uint16(len(r.got)))
	for _, c := range r.got {
		b = le.AppendUint64(le.AppendUint64(b, c.id), c.messages)
	}
	return append(b, r.state...)
}

func parseReport(b []byte) (r report, ok bool) {
	if len(b) < reportHead || b[0] != tagReport {
		return r, false
	}
	k := int(le.Uint16(b[reportHead-2:]))
	if len(b) < reportHead+k*countSize {
		return r, false
	}
	r.taker, r.num, r.sent = le.Uint64(b[1:]), le.Uint64(b[9:]), le.Uint64(b[17:])
	for c := b[reportHead : reportHead+k*countSize]; len(c) > 0; c = c[countSize:] {
		r.got = append(r.got, count{le.Uint64(c), le.Uint64(c[8:])})
	}
	r.state = b[reportHead+k*countSize:]
	return r, true
}
