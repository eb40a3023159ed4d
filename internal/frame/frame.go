// Package frame reads messages from a stream, each after its length as u32, little
// endian.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// GrowStep is how much is allocated on the word of a length alone, bytes.
const GrowStep = 64 << 10

const headSize = 4

// ErrTooLarge is what a length beyond the limit makes of a stream.
var ErrTooLarge = errors.New("too large")

// Read reads one message of at most limit bytes into the memory of into, or, as far as
// that is not enough, into new. It returns io.EOF at the end between two messages,
// io.ErrUnexpectedEOF within one, ErrTooLarge for a length beyond limit. New memory
// doubles as bytes come, so that a length that is a lie costs its teller.
func Read(r io.Reader, into []byte, limit int) ([]byte, error) {
	if cap(into) < headSize { // a variable of ours would escape, and be allocated each time
		into = make([]byte, 0, headSize)
	}
	head := into[:headSize]
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	claim := binary.LittleEndian.Uint32(head)
	if uint64(claim) > uint64(limit) {
		return nil, fmt.Errorf("frame of %d bytes: %w: want at most %d", claim, ErrTooLarge, limit)
	}
	size, have := int(claim), 0
	b := into[:min(size, cap(into))]
	if len(b) < min(size, GrowStep) {
		b = make([]byte, min(size, GrowStep))
	}
	for {
		if _, err := io.ReadFull(r, b[have:]); err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
		if have = len(b); have == size {
			return b, nil
		}
		grown := make([]byte, min(size, 2*have))
		copy(grown, b)
		b = grown
	}
}
