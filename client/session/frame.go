package session

import (
	"encoding/binary"
	"fmt"
	"slices"

	"cohort/order"
)

// Limits of what a client says of itself.
const (
	MaxGroups  = 64          // of one client
	maxText    = 255         // bytes of a name or of a reason
	MaxBeat    = int64(60e9) // ns
	MinBeat    = int64(5e6)
	beatUnit   = int64(1e6)
	helloMagic = 0x436c4343 // "CClC"
	version    = 1
)

// MaxHello bounds a hello, bytes.
const MaxHello = 4 + 1 + 1 + 8 + 2*binary.MaxVarintLen64 + 1 + MaxGroups*(1+maxText)

// MaxHead is what comes before a request's envelope, or an answer's payload, at most.
const MaxHead = 2 + 3*binary.MaxVarintLen64 + 1 + maxText

// Hello is what a client says first.
type Hello struct {
	Client uint64 // random; 0 is none
	Epoch  uint64 // greater with every connection
	Known  bool   // a gateway has let it in before
	Beat   int64  // how often it wants a sign of life, ns, rounded to ms
	Groups []string
}

// Append encodes it.
func (h Hello) Append(b []byte) []byte {
	b = le.AppendUint32(b, helloMagic)
	b = append(b, version, flag(h.Known))
	b = le.AppendUint64(b, h.Client)
	b = binary.AppendUvarint(b, h.Epoch)
	b = binary.AppendUvarint(b, uint64(h.Beat/beatUnit))
	b = append(b, byte(len(h.Groups)))
	for _, g := range h.Groups {
		b = append(append(b, byte(len(g))), g...)
	}
	return b
}

// ParseHello decodes a hello.
func ParseHello(b []byte) (h Hello, err error) {
	c := cursor{b: b}
	if magic := c.take(4); magic == nil || le.Uint32(magic) != helloMagic {
		return h, fmt.Errorf("session: %w hello of %d bytes: it is no client's", ErrMalformed, len(b))
	}
	if v := c.u8(); v != version {
		return h, fmt.Errorf("session: %w hello: version %d, want %d", ErrMalformed, v, version)
	}
	h.Known, h.Client, h.Epoch = c.bool(), c.u64(), c.uvarint()
	ms := c.uvarint()
	c.check(ms >= uint64(MinBeat/beatUnit) && ms <= uint64(MaxBeat/beatUnit))
	h.Beat = int64(ms) * beatUnit
	groups := c.u8()
	c.check(h.Client != 0 && h.Epoch != 0 && groups > 0 && groups <= MaxGroups)
	for ; groups > 0 && !c.bad; groups-- {
		name := string(c.take(uint64(c.u8())))
		c.check(!slices.Contains(h.Groups, name))
		h.Groups = append(h.Groups, name)
	}
	if c.bad || len(c.b) > 0 {
		return Hello{}, fmt.Errorf("session: %w hello of %d bytes", ErrMalformed, len(b))
	}
	return h, nil
}

// FrameKind says what a frame is.
type FrameKind uint8

const (
	FrameRequest FrameKind = iota + 1 // of a client: Group, Level, Want, Body: an envelope
	FrameBye                          // of a client that is done
	FramePing                         // of either
	FrameWelcome                      // of a gateway: send now
	FrameRefused                      // Code, Body: a text; nothing follows
	FrameAcked                        // Group, Seq
	FrameReply                        // Group, Seq, From, Rank, Name, Body
	FrameDone                         // Group, Seq, Code
)

// Frame is what passes between a client and its gateway after the hello.
type Frame struct {
	Kind  FrameKind
	Code  Code
	Group int
	Level order.Level
	Want  int
	Seq   uint64
	From  uint64
	Rank  int
	Name  string
	Body  []byte // borrowed
}

// Append encodes it.
func (f Frame) Append(b []byte) []byte {
	b = append(b, byte(f.Kind))
	switch f.Kind {
	case FrameRequest:
		b = append(b, byte(f.Group), byte(f.Level))
		b = binary.AppendVarint(b, int64(f.Want))
	case FrameRefused:
		b = append(b, byte(f.Code))
	case FrameAcked:
		b = binary.AppendUvarint(append(b, byte(f.Group)), f.Seq)
	case FrameReply:
		b = binary.AppendUvarint(append(b, byte(f.Group)), f.Seq)
		b = le.AppendUint64(b, f.From)
		b = append(b, byte(f.Rank), byte(len(f.Name)))
		b = append(b, f.Name...)
	case FrameDone:
		b = append(binary.AppendUvarint(append(b, byte(f.Group)), f.Seq), byte(f.Code))
	}
	return append(b, f.Body...)
}

// ParseFrame decodes one.
func ParseFrame(b []byte) (f Frame, err error) {
	c := cursor{b: b}
	f.Kind = FrameKind(c.u8())
	switch f.Kind {
	case FrameRequest:
		f.Group, f.Level = int(c.u8()), order.Level(c.u8())
		want := c.varint()
		c.check(want >= All && want <= 1<<31-1 && f.Level.Valid())
		f.Want = int(want)
	case FrameBye, FramePing, FrameWelcome:
		c.check(len(c.b) == 0)
	case FrameRefused:
		f.Code = Code(c.u8())
		c.check(len(c.b) <= maxText)
	case FrameAcked:
		f.Group, f.Seq = int(c.u8()), c.uvarint()
		c.check(len(c.b) == 0)
	case FrameReply:
		f.Group, f.Seq, f.From, f.Rank = int(c.u8()), c.uvarint(), c.u64(), int(c.u8())
		f.Name = string(c.take(uint64(c.u8())))
	case FrameDone:
		f.Group, f.Seq, f.Code = int(c.u8()), c.uvarint(), Code(c.u8())
		c.check(len(c.b) == 0)
	default:
		c.bad = true
	}
	if c.bad {
		return Frame{}, fmt.Errorf("session: %w frame of %d bytes, kind %d", ErrMalformed, len(b), f.Kind)
	}
	f.Body = c.b
	return f, nil
}
