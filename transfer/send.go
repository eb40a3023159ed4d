package transfer

import (
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// maxEmptyReads is how often in a row a reader may give neither bytes nor an
// error, as in package bufio.
const maxEmptyReads = 100

// Send writes to conn what it reads from r until io.EOF, and then the end mark. It
// returns the bytes of state written. If r fails, the receiver is told, and the
// error wraps ErrDonor and that of r; if conn fails, it wraps ErrBroken and that
// of conn. A chunk leaves when it is full, so a receiver with a stall limit must
// get ChunkSize bytes out of r within it.
func Send(conn io.Writer, r io.Reader) (bytes int64, err error) {
	s := sender{conn: conn, buf: make([]byte, headSize+ChunkSize), sum: xxhash.New()}
	for {
		n, failed := fill(r, s.buf[headSize:])
		if failed != nil && failed != io.EOF {
			return s.sent, s.giveUp(failed)
		}
		if n > 0 {
			if err := s.write(kindChunk, n); err != nil {
				return s.sent, err
			}
			s.sent += int64(n)
		}
		if failed == io.EOF {
			le.PutUint64(s.buf[headSize:], uint64(s.sent))
			return s.sent, s.write(kindEnd, endSize)
		}
	}
}

// fill reads until b is full or r has an error. Other than that of io.ReadFull,
// its error is r's own: an io.ErrUnexpectedEOF of r is no end of the state.
func fill(r io.Reader, b []byte) (n int, err error) {
	for empty := 0; n < len(b) && err == nil; {
		var m int
		m, err = r.Read(b[n:])
		n += m
		if empty++; m > 0 {
			empty = 0
		}
		if empty == maxEmptyReads && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

type sender struct {
	conn io.Writer
	buf  []byte // head and body of the next record
	sum  *xxhash.Digest
	sent int64
}

// write writes the record whose body of n bytes lies in the buffer.
func (s *sender) write(kind uint32, n int) error {
	rec := s.buf[:headSize+n]
	le.PutUint32(rec[8:], kind)
	le.PutUint32(rec[12:], uint32(n))
	_, _ = s.sum.Write(rec[8:])
	le.PutUint64(rec, s.sum.Sum64())
	if m, err := s.conn.Write(rec); err != nil {
		return fmt.Errorf("transfer: sending after %d bytes: %w: %w", s.sent, ErrBroken, err)
	} else if m < len(rec) {
		return fmt.Errorf("transfer: sending after %d bytes: %w: %d bytes of %d: %w", s.sent, ErrBroken, m, len(rec), io.ErrShortWrite)
	}
	return nil
}

// giveUp tells the receiver why.
func (s *sender) giveUp(why error) error {
	err := fmt.Errorf("transfer: reading the state after %d bytes: %w: %w", s.sent, ErrDonor, why)
	n := copy(s.buf[headSize:headSize+MaxReason], why.Error())
	if failed := s.write(kindFailure, n); failed != nil {
		return fmt.Errorf("%w; and telling so: %w", err, failed)
	}
	return err
}
