package transfer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// LimitStall returns conn with a limit on how long it may stand still: a Read that
// brings no byte within limit, and a Write (one chunk of Send) that is not taken
// whole within it, return an error that wraps ErrStalled and
// os.ErrDeadlineExceeded. It moves the deadlines of conn before each call and
// leaves them behind: to end a transfer early, close conn; to use conn afterwards,
// set others.
func LimitStall(conn net.Conn, limit time.Duration) io.ReadWriter {
	return stallLimited{conn, limit}
}

type stallLimited struct {
	conn  net.Conn
	limit time.Duration
}

func (s stallLimited) Read(p []byte) (int, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(s.limit)); err != nil {
		return 0, err
	}
	n, err := s.conn.Read(p)
	return n, s.name(err)
}

func (s stallLimited) Write(p []byte) (int, error) {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.limit)); err != nil {
		return 0, err
	}
	n, err := s.conn.Write(p)
	return n, s.name(err)
}

func (s stallLimited) name(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w for %v: %w", ErrStalled, s.limit, err)
	}
	return err
}
