package wire

import "cohort/order"

// Bits of a frame's first byte; the low three are the message's kind.
const (
	kindMask   = 7
	frameFirst = 1 << 3
	frameLast  = 1 << 4
	frameAbort = 1 << 5
)

// Bytes before a frame's payload.
const (
	FrameSize      = 8             // a whole message, or a fragment after the first
	FrameStartSize = FrameSize + 4 // the first of several fragments: with the message's size
)

// Frame is a message, or a fragment of one, in a Data packet.
type Frame struct {
	Kind    uint8 // the driver's meaning, 0 to 7
	First   bool  // begins a message
	Last    bool  // ends it
	Abort   bool  // ends it without delivery
	Level   order.Level
	Group   uint32
	Size    int    // First and not Last: bytes of the whole message
	Payload []byte // borrows the packet
}

// Head is the first FrameSize bytes of a frame. Nearly all frames are whole messages,
// which it says all about.
type Head uint64

// HeadOf reads the head of the frame at the start of b, at least FrameSize bytes.
func HeadOf(b []byte) Head { return Head(le.Uint64(b)) }

// Whole tells whether the frame is a message of a level that exists, and no fragment.
func (h Head) Whole() bool {
	return h&(frameFirst|frameLast) == frameFirst|frameLast && h.Level().Valid()
}

// Kind returns Frame.Kind.
func (h Head) Kind() uint8 { return uint8(h & kindMask) }

// Level returns Frame.Level.
func (h Head) Level() order.Level { return order.Level(h >> 8) }

// Size returns the bytes of the payload.
func (h Head) Size() int { return int(uint16(h >> 16)) }

// Group returns Frame.Group.
func (h Head) Group() uint32 { return uint32(h >> 32) }

// PutFrame writes the head of a frame with a payload of n bytes into b and
// returns its length: FrameStartSize if f begins a message that it does not end.
func PutFrame(b []byte, f *Frame, n int) int {
	bits := f.Kind & kindMask
	if f.First {
		bits |= frameFirst
	}
	if f.Last {
		bits |= frameLast
	}
	if f.Abort {
		bits |= frameAbort
	}
	b[0], b[1] = bits, byte(f.Level)
	le.PutUint16(b[2:], uint16(n))
	le.PutUint32(b[4:], f.Group)
	if f.First && !f.Last {
		le.PutUint32(b[8:], uint32(f.Size))
		return FrameStartSize
	}
	return FrameSize
}

// NextFrame reads the frame at the start of b, the unread part of a packet's
// body, into f and returns its length; 0 if b is malformed.
func NextFrame(b []byte, f *Frame) int {
	if len(b) < FrameSize {
		return 0
	}
	bits, n, at := b[0], int(le.Uint16(b[2:])), FrameSize
	f.Kind = bits & kindMask
	f.First, f.Last, f.Abort = bits&frameFirst != 0, bits&frameLast != 0, bits&frameAbort != 0
	f.Level, f.Group = order.Level(b[1]), le.Uint32(b[4:])
	f.Size = n
	if f.First && !f.Last {
		if len(b) < FrameStartSize {
			return 0
		}
		f.Size, at = int(le.Uint32(b[8:])), FrameStartSize
	}
	if !f.Level.Valid() || len(b) < at+n {
		return 0
	}
	f.Payload = b[at : at+n]
	return at + n
}
