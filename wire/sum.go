package wire

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// Checksums of the equal packets of a train are computed side by side where the
// processor can: xxhash64's steps wait for each other's multiplications, so that
// one packet after the other leaves it idle most of the time.

// abreast is how many packets are summed side by side.
const abreast = 8

// stripe is the bytes that xxhash64 takes at a time.
const stripe = 32

// The constants of xxhash64.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// Seal writes the checksum into the last SumSize bytes of b, which has a header.
func Seal(b []byte) { le.PutUint64(b[len(b)-SumSize:], sum(b)) }

// Verify tells whether the checksum of b is right. b must have passed Parse.
func Verify(b []byte) bool { return le.Uint64(b[len(b)-SumSize:]) == sum(b) }

// sum is what the checksum of b, which has a header, should be. What never leaves the
// memory of a host is as safe as the memory of the programs that send and receive it, and
// Linux does without UDP's own checksum there: so the body of a local packet is left out,
// and what is not is what tells packets apart and who has which.
func sum(b []byte) uint64 {
	end := len(b) - SumSize
	if !local(b) {
		return xxhash.Sum64(b[:end])
	}
	behind := HeaderSize + int(le.Uint16(b[28:]))
	if behind >= end {
		return xxhash.Sum64(b[:HeaderSize])
	}
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(b[:HeaderSize]) // never fails
	_, _ = d.Write(b[behind:end])
	return d.Sum64()
}

// local tells whether b, of at least Overhead bytes, is a packet of LocalVersion.
func local(b []byte) bool { return b[2] == LocalVersion }

// SealTrain is Seal for the packets of a train: they lie back to back in b, each
// of segment bytes and only the last one possibly shorter, but not below Overhead.
func SealTrain(b []byte, segment int) {
	var sums [abreast]uint64
	for len(b) > 0 {
		n := sumNext(b, segment, &sums)
		for i := range n {
			end := min((i+1)*segment, len(b))
			le.PutUint64(b[end-SumSize:], sums[i])
		}
		b = b[min(n*segment, len(b)):]
	}
}

// MaxVerified is how many packets VerifyTrain takes.
const MaxVerified = 64

// VerifyTrain is Verify for the first MaxVerified packets of a train as it came:
// bit i of good tells whether the checksum of packet i is right. It need not have
// passed Parse.
func VerifyTrain(b []byte, segment int) (good uint64) {
	var sums [abreast]uint64
	for at := 0; at < MaxVerified && min(segment, len(b)) >= Overhead; {
		n := sumNext(b, segment, &sums)
		for i := range n {
			end := min((i+1)*segment, len(b))
			if le.Uint64(b[end-SumSize:]) == sums[i] {
				good |= 1 << (at + i)
			}
		}
		at += n
		b = b[min(n*segment, len(b)):]
	}
	return good
}

// sumNext computes the checksums of the next packets in b and returns their number.
func sumNext(b []byte, segment int, sums *[abreast]uint64) int {
	n, size := min(len(b)/segment, abreast), segment-SumSize
	for i := range n {
		if local(b[i*segment:]) {
			n = i
			break
		}
	}
	if n < 2 || !sideBySide || size < stripe {
		sums[0] = sum(b[:min(segment, len(b))])
		return 1
	}
	var packets [abreast]*byte
	var lanes [abreast][4]uint64
	for i := range packets {
		packets[i], lanes[i] = &b[i%n*segment], firstLanes // some twice, rather than too few
	}
	stripes(&lanes, &packets, size/stripe)
	for i := range n {
		end := i*segment + size
		sums[i] = finish(&lanes[i], b[end-size%stripe:end], size)
	}
	return n
}

// firstLanes are the lanes of the seed 0 before the first stripe. (Their sums wrap.)
var firstLanes = func() [4]uint64 {
	one, two := prime1, prime2
	return [4]uint64{one + two, two, 0, -one}
}()

// finish joins the lanes with the rest of the size bytes that came after the last stripe.
func finish(v *[4]uint64, rest []byte, size int) uint64 {
	h := bits.RotateLeft64(v[0], 1) + bits.RotateLeft64(v[1], 7) + bits.RotateLeft64(v[2], 12) + bits.RotateLeft64(v[3], 18)
	for _, lane := range v {
		h = (h^round(lane))*prime1 + prime4
	}
	h += uint64(size)
	for ; len(rest) >= 8; rest = rest[8:] {
		h = bits.RotateLeft64(h^round(le.Uint64(rest)), 27)*prime1 + prime4
	}
	if len(rest) >= 4 {
		h = bits.RotateLeft64(h^uint64(le.Uint32(rest))*prime1, 23)*prime2 + prime3
		rest = rest[4:]
	}
	for _, c := range rest {
		h = bits.RotateLeft64(h^uint64(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

func round(x uint64) uint64 { return bits.RotateLeft64(x*prime2, 31) * prime1 }
