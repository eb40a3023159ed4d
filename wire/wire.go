// Package wire is the frozen, versioned format of Cohort's packets: see
// docs/WIRE.md. Integers are little-endian. Encoders write into the caller's
// memory and decoders return views of it: nothing here allocates.
package wire

import (
	"encoding/binary"
	"errors"

	"cohort/order"
)

// Constants of the format.
const (
	Magic        = 0x4356 // "VC"
	Version      = 3      // 1 and 2 are retired: see docs/WIRE.md
	LocalVersion = 4      // the same, in views whose members are all on one host: see Header.Local
	HeaderSize   = 32
	SumSize      = 8                    // XXH3, of 64 bits, at the end of every packet
	Overhead     = HeaderSize + SumSize // bytes of a packet that carry no section and no frame
	MaxPacket    = 65507                // largest UDP payload over IPv4
)

// Kind tells what a packet is.
type Kind uint8

// Kinds of packets.
const (
	Data    Kind = 1  // a numbered packet of a member's stream
	RowOnly Kind = 2  // a row that found no data to ride on
	NAK     Kind = 3  // asks for packets again
	Here    Kind = 9  // beacon: a process that looks for a ring. 4 to 8 are retired: see docs/WIRE.md
	Ring    Kind = 10 // beacon: a ring, presented by its leader
)

// Flags of a packet: which sections follow the frames, in this order.
const (
	HasDep    = 1 // causal vector, as changes
	HasRecord = 2 // ordering record
	HasRow    = 4 // the sender's row
	WantRow   = 8 // the receiver is asked for its row
)

// Header is the fixed part of a packet.
type Header struct {
	Local   bool // the checksum leaves out the body: the packet never leaves the memory of a host
	Kind    Kind
	Cluster uint32
	View    uint64      // membership.View.Key; 0 in a beacon
	Seq     uint64      // Data: number in the sender's stream, from 1
	Sender  uint8       // rank in the view
	Level   order.Level // Data: join of the levels of the messages in it
	Flags   uint8
	Body    int // bytes of frames (Data) or of the body (others) after the header
}

// Errors of Parse, one for each reason that is counted separately.
var (
	ErrShort    = errors.New("wire: packet shorter than its header says")
	ErrMagic    = errors.New("wire: not a Cohort packet")
	ErrVersion  = errors.New("wire: unknown version")
	ErrChecksum = errors.New("wire: checksum does not match")
	ErrSection  = errors.New("wire: malformed section")
)

var le = binary.LittleEndian

// PutHeader is Header.Put.
func PutHeader(b []byte, h Header) { h.Put(b) }

// Put writes h into the first HeaderSize bytes of b.
func (h *Header) Put(b []byte) {
	_ = b[HeaderSize-1]
	le.PutUint16(b, Magic)
	if b[2], b[3] = Version, byte(h.Kind); h.Local {
		b[2] = LocalVersion
	}
	le.PutUint32(b[4:], h.Cluster)
	le.PutUint64(b[8:], h.View)
	le.PutUint64(b[16:], h.Seq)
	b[24], b[25], b[26], b[27] = h.Sender, byte(h.Level), h.Flags, 0
	le.PutUint16(b[28:], uint16(h.Body))
	le.PutUint16(b[30:], 0)
}

// Parse is Header.Parse.
func Parse(b []byte) (h Header, err error) {
	err = h.Parse(b)
	return h, err
}

// Parse reads the header of b into h without looking at the checksum, so that
// packets for others are dropped cheaply; Verify must follow before b is believed.
// With an error h says nothing.
func (h *Header) Parse(b []byte) error {
	if len(b) < Overhead || len(b) > MaxPacket {
		return ErrShort
	}
	if le.Uint16(b) != Magic {
		return ErrMagic
	}
	if h.Local = b[2] == LocalVersion; !h.Local && b[2] != Version {
		return ErrVersion
	}
	h.Kind, h.Cluster, h.View, h.Seq = Kind(b[3]), le.Uint32(b[4:]), le.Uint64(b[8:]), le.Uint64(b[16:])
	h.Sender, h.Level, h.Flags, h.Body = b[24], order.Level(b[25]), b[26], int(le.Uint16(b[28:]))
	if HeaderSize+h.Body+SumSize > len(b) {
		return ErrShort
	}
	return nil
}
