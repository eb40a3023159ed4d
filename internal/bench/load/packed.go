package load

import "cohort/internal/bench/check"

// A packed stamp is 16 bytes, as two words from low bits to high:
//
//	sequence number 38, sender 6, member claimed about 6, row 3, last 1, size - 16 4, echo 1, 5 of zeros
//	count claimed 32 low bits, due 32 bits of 64 ns
//
// 38 bits are three hours of 25 million messages a second, and 32 bits of 64 ns
// four and a half minutes. A count is claimed to its low 32 bits only while they are all it
// has; beyond that nothing is claimed.
const (
	seqBits    = 38
	memberBits = 6
	rowBits    = 3
	packedRows = 1 << rowBits
	tick       = 6 // due in 2^6 ns

	senderAt = seqBits
	ofAt     = senderAt + memberBits
	rowAt    = ofAt + memberBits
	lastAt   = rowAt + rowBits
	sizeAt   = lastAt + 1
	echoAt   = sizeAt + 4
)

const memberMask = 1<<memberBits - 1

// pack writes the stamp into b, which has MinSize to stampSize-1 bytes.
func (s *Stamp) pack(b []byte) {
	_ = b[MinSize-1]
	w := s.Seq&(1<<seqBits-1) | uint64(s.Sender)<<senderAt | uint64(s.Claim.Of)<<ofAt |
		uint64(s.Row%packedRows)<<rowAt | uint64(len(b)-MinSize)<<sizeAt
	if s.Last {
		w |= 1 << lastAt
	}
	le.PutUint64(b, w)
	count := uint32(s.Claim.Count)
	if s.Claim.Count > 1<<32-1 {
		count = 0
	}
	le.PutUint32(b[8:], count)
	le.PutUint32(b[12:], uint32(s.Due>>tick))
}

func packedSize(b []byte) int   { return MinSize + int(le.Uint64(b)&^(1<<echoAt)>>sizeAt) } // too large if a zero is none
func packedSeq(b []byte) uint64 { return le.Uint64(b) & (1<<seqBits - 1) }
func packedFrom(b []byte) int   { return int(le.Uint64(b)>>senderAt) & memberMask }
func packedRow(b []byte) uint16 { return uint16(le.Uint64(b)>>rowAt) % packedRows }
func packedLast(b []byte) bool  { return le.Uint64(b)>>lastAt&1 != 0 }

func packedClaim(b []byte) check.Claim {
	return check.Claim{Of: int(le.Uint64(b)>>ofAt) & memberMask, Count: uint64(le.Uint32(b[8:]))}
}

// packedDue returns the time that is nearest to now, of those that have these bits.
func packedDue(b []byte, now int64) int64 {
	ago := int32(uint32(now>>tick) - le.Uint32(b[12:]))
	return (now>>tick - int64(ago)) << tick
}
