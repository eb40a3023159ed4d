package control

import (
	"fmt"
	"io"
	"net"
)

const (
	// frameHead is the length u32, little endian, before each letter.
	frameHead = 4

	// firstStep is how much is allocated on the strength of a length alone, bytes.
	firstStep = 64 << 10

	// copyBelow is the size of letters, bytes, that are copied together: a copy is
	// cheaper than one more piece for writev, or one more TLS record.
	copyBelow = 4 << 10
)

// readFrame reads one letter into memory of its own. It returns io.EOF at the
// end between two letters, io.ErrUnexpectedEOF within one, ErrTooLarge for a
// length beyond MaxFrame.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(le.Uint32(head[:]))
	if n > MaxFrame {
		return nil, fmt.Errorf("letter of %d bytes: %w: want at most %d", n, ErrTooLarge, MaxFrame)
	}
	return readBody(r, int(n))
}

// readBody doubles its memory as bytes come, so that a length that is a lie
// costs its teller.
func readBody(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, firstStep))
	for have := 0; ; {
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if have = len(b); have == n {
			return b, nil
		}
		grown := make([]byte, min(n, 2*have))
		copy(grown, b)
		b = grown
	}
}

// framer writes letters as frames, many with one system call.
type framer struct {
	w      io.Writer
	small  []byte      // heads, and letters that are copied
	pieces net.Buffers // what is ready to be written, before small[cut:]
	cut    int
	size   int
}

// write writes all letters. It does not change them.
func (f *framer) write(letters [][]byte) error {
	for _, body := range letters {
		f.add(body)
		if f.size >= firstStep {
			if err := f.flush(); err != nil {
				return err
			}
		}
	}
	return f.flush()
}

func (f *framer) add(body []byte) {
	f.small = le.AppendUint32(f.small, uint32(len(body)))
	f.size += frameHead + len(body)
	if len(body) < copyBelow {
		f.small = append(f.small, body...)
		return
	}
	// If small moves when it grows, the old memory keeps what the piece points to.
	f.pieces = append(f.pieces, f.small[f.cut:], body)
	f.cut = len(f.small)
}

func (f *framer) flush() error {
	if f.cut < len(f.small) {
		f.pieces = append(f.pieces, f.small[f.cut:])
	}
	pieces := f.pieces // WriteTo eats its receiver
	_, err := pieces.WriteTo(f.w)
	clear(f.pieces)
	f.pieces, f.small, f.cut, f.size = f.pieces[:0], f.small[:0], 0, 0
	return err
}
