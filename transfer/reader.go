package transfer

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Reader reads the state that a Send at the other end of a connection writes. One
// goroutine uses it.
type Reader struct {
	conn     io.Reader
	progress func(bytes int64)
	buf      []byte // one body
	unread   []byte // of a checked chunk
	sum      *xxhash.Digest
	got      int64 // bytes of state checked
	err      error // for ever, once unread is empty
}

// NewReader returns a Reader of conn. It reads nothing beyond the last record, so
// that conn can be used for something else afterwards. After each chunk, progress
// is called, within Read, with the bytes of state checked so far; nil is allowed.
func NewReader(conn io.Reader, progress func(bytes int64)) *Reader {
	if progress == nil {
		progress = func(int64) {}
	}
	return &Reader{conn: conn, progress: progress, buf: make([]byte, ChunkSize), sum: xxhash.New()}
}

// Read reads state that has been checked up to there. It returns io.EOF when the
// end mark has come and agrees: only then is the state complete. Other errors wrap
// ErrBroken and the connection's (io.ErrUnexpectedEOF in place of io.EOF),
// ErrDonor with the donor's reason quoted, or ErrCorrupt. An error stays.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.unread) == 0 && r.err == nil && len(p) > 0 {
		r.unread, r.err = r.next()
		if r.err == nil {
			r.progress(r.got)
		}
	}
	if len(r.unread) == 0 {
		return 0, r.err
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// next returns the body of the next chunk, valid until the next call, or why there
// is none: io.EOF after the end mark.
func (r *Reader) next() ([]byte, error) {
	kind, body, err := r.record()
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindChunk:
		r.got += int64(len(body))
		return body, nil
	case kindFailure:
		return nil, r.fail(ErrDonor, "reason %q", strings.ToValidUTF8(string(body), "\uFFFD"))
	}
	if total := le.Uint64(body); total != uint64(r.got) {
		return nil, r.fail(ErrCorrupt, "end of a state of %d bytes, want %d", total, r.got)
	}
	return nil, io.EOF
}

// record reads and checks one record, whose kind is known and whose length suits
// it. Nothing is read, nor memory used, on the word of a length that does not.
func (r *Reader) record() (kind uint32, body []byte, err error) {
	var head []byte
	if head, err = r.read(headSize); err != nil {
		return 0, nil, err
	}
	want, kind, length := le.Uint64(head), le.Uint32(head[8:]), le.Uint32(head[12:])
	least, most := bounds(kind)
	if length < least || length > most {
		return 0, nil, r.fail(ErrCorrupt, "record of kind %d with %d bytes, want %d to %d", kind, length, least, most)
	}
	_, _ = r.sum.Write(head[8:])
	if body, err = r.read(int(length)); err != nil {
		return 0, nil, err
	}
	_, _ = r.sum.Write(body)
	if sum := r.sum.Sum64(); sum != want {
		return 0, nil, r.fail(ErrCorrupt, "record of kind %d with %d bytes has checksum %#x, want %#x", kind, length, sum, want)
	}
	return kind, body, nil
}

// bounds returns the least and the most bytes in a record's body; none suit a
// kind that does not exist.
func bounds(kind uint32) (least, most uint32) {
	switch kind {
	case kindChunk:
		return 1, ChunkSize
	case kindEnd:
		return endSize, endSize
	case kindFailure:
		return 0, MaxReason
	}
	return 1, 0
}

// read reads n bytes into the buffer, over what was there.
func (r *Reader) read(n int) ([]byte, error) {
	b := r.buf[:n]
	_, err := io.ReadFull(r.conn, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // io.EOF would pass for a complete state
	}
	if err != nil {
		return nil, fmt.Errorf("transfer: receiving after %d bytes: %w: %w", r.got, ErrBroken, err)
	}
	return b, nil
}

func (r *Reader) fail(kind error, format string, args ...any) error {
	return fmt.Errorf("transfer: receiving after %d bytes: %w: %s", r.got, kind, fmt.Sprintf(format, args...))
}
