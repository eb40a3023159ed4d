package wire

import "github.com/zeebo/xxh3"

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
		return xxh3.Hash(b[:end])
	}
	behind := min(HeaderSize+int(le.Uint16(b[28:])), end)
	return xxh3.HashSeed(b[behind:end], xxh3.Hash(b[:HeaderSize]))
}

// local tells whether b, of at least Overhead bytes, is a packet of LocalVersion.
func local(b []byte) bool { return b[2] == LocalVersion }
