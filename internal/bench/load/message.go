// Package load makes what the bench sends: messages that say when they should
// have been sent, by whom, and what their sender had seen before.
package load

import (
	"encoding/binary"

	"cohort/internal/bench/check"
	"cohort/internal/bench/clock"
)

// Sizes of messages, in bytes. A message that has no room for a whole stamp has a
// packed one, see packed.go.
const (
	MinSize   = 16
	stampSize = 32
	MaxSize   = 16 << 20
)

// tailSize is the bytes at the end of a message that repeat its sequence number,
// so that fragments put together wrongly are noticed.
const tailSize = 8

// Stamp is what the bench writes at the start of each message.
type Stamp struct {
	Seq    uint64 // of its sender in this row, from 1
	Due    int64  // when it should have been sent, ns of package clock
	Claim  check.Claim
	Sender int
	Row    uint16 // counts rows, so that messages of an earlier one are noticed
	Last   bool   // the sender's last of this phase
}

var le = binary.LittleEndian

// Put writes the stamp into b, which is a whole message.
func (s *Stamp) Put(b []byte) {
	if len(b) < stampSize {
		s.pack(b)
		return
	}
	le.PutUint64(b, s.Seq)
	le.PutUint64(b[8:], uint64(s.Due))
	le.PutUint64(b[16:], s.Claim.Count)
	b[24], b[25] = byte(s.Sender), byte(s.Claim.Of)
	le.PutUint16(b[26:], s.Row)
	size := uint32(len(b)-1) << 1
	if s.Last {
		size |= 1
	}
	le.PutUint32(b[28:], size)
	if len(b) >= stampSize+tailSize {
		le.PutUint64(b[len(b)-tailSize:], s.Seq)
	}
}

// Whole tells whether b is a message as Put left it: its stamp may then be read.
func Whole(b []byte) bool {
	if len(b) < stampSize {
		return len(b) >= MinSize && packedSize(b) == len(b)
	}
	if int(le.Uint32(b[28:])>>1)+1 != len(b) {
		return false
	}
	return len(b) < stampSize+tailSize || le.Uint64(b[len(b)-tailSize:]) == le.Uint64(b)
}

// The parts of a whole message's stamp, one by one: a receiver needs them all for
// few messages.

// Seq returns Stamp.Seq.
func Seq(b []byte) uint64 {
	if len(b) < stampSize {
		return packedSeq(b)
	}
	return le.Uint64(b)
}

// Due returns Stamp.Due. Of a packed stamp it is exact to 64 ns, and true if it is
// within two minutes of now.
func Due(b []byte) int64 {
	if len(b) < stampSize {
		return packedDue(b, clock.Now())
	}
	return int64(le.Uint64(b[8:]))
}

// Claim returns Stamp.Claim.
func Claim(b []byte) check.Claim {
	if len(b) < stampSize {
		return packedClaim(b)
	}
	return check.Claim{Of: int(b[25]), Count: le.Uint64(b[16:])}
}

// From returns Stamp.Sender.
func From(b []byte) int {
	if len(b) < stampSize {
		return packedFrom(b)
	}
	return int(b[24] & memberMask)
}

// OfRow tells whether the stamp is of this row; a packed one cannot tell rows that
// are eight apart.
func OfRow(b []byte, row uint16) bool {
	if len(b) < stampSize {
		return packedRow(b) == row%packedRows
	}
	return le.Uint16(b[26:]) == row
}

// Last returns Stamp.Last.
func Last(b []byte) bool {
	if len(b) < stampSize {
		return packedLast(b)
	}
	return b[28]&1 != 0
}
