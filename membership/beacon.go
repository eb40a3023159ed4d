package membership

import (
	"errors"

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

// Append appends the body of the beacon's packet to b.
func (bc Beacon) Append(b []byte) []byte {
	b = le.AppendUint16(b, uint16(bc.Expect))
	b = bc.From.appendHeard(b)
	b = le.AppendUint64(b, bc.View.Num)
	b = append(b, byte(len(bc.View.Members)))
	for _, m := range bc.View.Members {
		b = m.appendHeard(b)
	}
	return b
}

// appendHeard appends a member as beacons carry it: before it has joined anything.
func (m Member) appendHeard(b []byte) []byte {
	b = le.AppendUint64(b, m.ID)
	b = le.AppendUint64(b, uint64(m.Since))
	b = le.AppendUint32(b, m.RecvBuffer)
	b = le.AppendUint16(b, m.Segment)
	b = appendAddr(b, m.Addr)
	return appendText(b, m.Name, MaxName)
}

// ParseBeacon reads the body of a packet of the forming protocol. A view in it
// is valid.
func ParseBeacon(kind wire.Kind, b []byte) (bc Beacon, err error) {
	r := reader{b: b}
	bc = Beacon{Kind: kind, Expect: int(r.u16()), From: r.heard()}
	bc.View.Num = r.u64()
	for range min(int(r.u8()), MaxMembers+1) {
		if r.bad {
			break
		}
		bc.View.Members = append(bc.View.Members, r.heard())
	}
	if r.bad || len(r.b) != 0 || kind != wire.Hello && bc.View.Validate() != nil {
		return Beacon{}, ErrBeacon
	}
	return bc, nil
}
