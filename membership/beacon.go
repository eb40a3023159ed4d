package membership

import (
	"errors"

	"cohort/wire"
)

// Beacon is a packet by which processes find each other: one that looks for a
// ring says that it is there, and the leader of a ring that the ring is.
type Beacon struct {
	Kind   wire.Kind // Here or Ring
	From   Member
	Expect int // how many members From expects there to be

	// Of a Ring: View.Ring, Founded, Num and Key, and how many members it has; Size
	// 0: From is in a view of which too few are left to go on.
	Ring    uint64
	Founded int64
	Num     uint64
	Key     uint64
	Size    int
}

// ErrBeacon is returned for a malformed beacon.
var ErrBeacon = errors.New("membership: malformed beacon")

// Append appends the body of the beacon's packet to b.
func (bc Beacon) Append(b []byte) []byte {
	b = le.AppendUint16(b, uint16(bc.Expect))
	b = le.AppendUint64(b, bc.Ring)
	b = le.AppendUint64(b, uint64(bc.Founded))
	b = le.AppendUint64(b, bc.Num)
	b = le.AppendUint64(b, bc.Key)
	b = append(b, byte(bc.Size))
	return bc.From.append(b)
}

// ParseBeacon reads the body of a packet of this kind.
func ParseBeacon(kind wire.Kind, b []byte) (bc Beacon, err error) {
	r := reader{b: b}
	bc = Beacon{Kind: kind, Expect: int(r.u16()), Ring: r.u64(), Founded: int64(r.u64()), Num: r.u64(), Key: r.u64(), Size: int(r.u8())}
	bc.From = r.member()
	if r.bad || len(r.b) != 0 || bc.Expect > MaxMembers || bc.Size > MaxMembers || bc.From.ID == 0 {
		return Beacon{}, ErrBeacon
	}
	return bc, nil
}
