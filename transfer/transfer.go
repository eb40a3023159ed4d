// Package transfer streams a state of any size over a connection, in the memory
// of one chunk at each end. The donor cuts the state into chunks; the receiver
// hands on only what it has checked, and tells a state that is complete from a
// connection that broke, a donor that gave up, and damage.
//
// The stream is records. Each has a head of 16 bytes, little endian: a checksum
// (u64), the kind (u32), the length of the body in bytes (u32). The checksum is
// the xxhash64 of all heads, without their checksums, and all bodies from the
// first record to this one: so a chunk that is damaged, lost, repeated or out of
// place is found at that chunk, and the checksum of the end mark is the digest
// over all. It guards against accidents; who may send is for the connection to
// settle.
//
//	chunk    1 to ChunkSize bytes of the state
//	end      the state's bytes, u64; the last record
//	failure  why the donor gave up, up to MaxReason bytes; the last record
package transfer

import (
	"encoding/binary"
	"errors"
)

// ChunkSize is the most bytes of state in one record.
const ChunkSize = 256 << 10

// MaxReason is the most that the receiver is told of why the donor gave up, bytes.
const MaxReason = 1 << 10

// Errors. They come wrapped in one that names the value at fault.
var (
	ErrBroken  = errors.New("connection broke before the end of the state")
	ErrDonor   = errors.New("donor gave up")
	ErrCorrupt = errors.New("stream is damaged")
	ErrStalled = errors.New("connection stalled")
)

const (
	kindChunk uint32 = iota + 1
	kindEnd
	kindFailure
)

const (
	headSize = 16
	endSize  = 8
)

var le = binary.LittleEndian
