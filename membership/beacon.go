package membership

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"cohort/wire"
)

// Beacon is a packet of the forming protocol: who sends it and what it says.
type Beacon struct {
	Kind   wire.Kind // Hello, Propose, Accept, Install or Formed
	From   Member
	Expect int  // how many members From wants its first view to have
	View   View // of all kinds but Hello
}

// ErrBeacon is returned for a malformed beacon.
var ErrBeacon = errors.New("membership: malformed beacon")

var le = binary.LittleEndian

// Append appends the body of the beacon's packet to b.
func (bc Beacon) Append(b []byte) []byte {
	b = le.AppendUint16(b, uint16(bc.Expect))
	b = bc.From.append(b)
	b = le.AppendUint64(b, bc.View.Num)
	b = append(b, byte(len(bc.View.Members)))
	for _, m := range bc.View.Members {
		b = m.append(b)
	}
	return b
}

func (m Member) append(b []byte) []byte {
	b = le.AppendUint64(b, m.ID)
	b = le.AppendUint64(b, uint64(m.Since))
	b = le.AppendUint32(b, m.RecvBuffer)
	b = le.AppendUint16(b, m.Segment)
	addr := m.Addr.Addr().AsSlice()
	b = le.AppendUint16(b, m.Addr.Port())
	b = append(append(b, byte(len(addr))), addr...)
	name := m.Name[:min(len(m.Name), MaxName)]
	return append(append(b, byte(len(name))), name...)
}

// ParseBeacon reads the body of a packet of the forming protocol. A view in it
// is valid.
func ParseBeacon(kind wire.Kind, b []byte) (bc Beacon, err error) {
	r := reader{b: b}
	bc = Beacon{Kind: kind, Expect: int(r.u16()), From: r.member()}
	bc.View.Num = r.u64()
	for range min(int(r.u8()), MaxMembers+1) {
		if r.bad {
			break
		}
		bc.View.Members = append(bc.View.Members, r.member())
	}
	if r.bad || len(r.b) != 0 || kind != wire.Hello && bc.View.Validate() != nil {
		return Beacon{}, ErrBeacon
	}
	return bc, nil
}

// reader takes fields off b; bad is set where b was too short.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.b, r.bad = nil, true
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return le.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return le.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return le.Uint64(r.take(8)) }

func (r *reader) member() Member {
	m := Member{ID: r.u64(), Since: int64(r.u64()), RecvBuffer: r.u32(), Segment: r.u16()}
	port := r.u16()
	addr, ok := netip.AddrFromSlice(r.take(int(r.u8())))
	m.Addr = netip.AddrPortFrom(addr, port)
	name := r.take(int(r.u8()))
	m.Name = string(name)
	if !ok || len(name) > MaxName || int(m.Segment) < wire.MinSegment(1) {
		r.bad = true
	}
	return m
}
