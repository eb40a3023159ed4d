package control

import (
	"fmt"
	"io"
)

// growStep is how much is allocated on the word of a length alone, bytes.
const growStep = 64 << 10

// appendFrames appends to frames, for each letter, its length as u32, little
// endian, and the letter. The lengths are written to heads, 4 bytes each; the
// letters are not copied.
func appendFrames(frames [][]byte, heads []byte, letters [][]byte) [][]byte {
	for i, body := range letters {
		head := heads[4*i : 4*i+4]
		le.PutUint32(head, uint32(len(body)))
		frames = append(frames, head, body)
	}
	return frames
}

// readFrame reads one letter into memory of its own. It returns io.EOF at the
// end between two letters, io.ErrUnexpectedEOF within one, ErrTooLarge for a
// length beyond MaxFrame. Memory doubles as bytes come, so that a length that is
// a lie costs its teller.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	claim := le.Uint32(head[:])
	if claim > MaxFrame {
		return nil, fmt.Errorf("letter of %d bytes: %w: want at most %d", claim, ErrTooLarge, MaxFrame)
	}
	size, have := int(claim), 0
	b := make([]byte, min(size, growStep))
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
