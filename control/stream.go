package control

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// stream is a stream connection, which Mesh.Close closes if its owner has not.
type stream struct {
	conn
	raw net.Conn
	m   *Mesh
}

// Close closes the connection. It does not wait for the other side, but for TLS
// to say that it ends: at most 5 s.
func (s *stream) Close() error {
	err := s.conn.Close()
	s.m.release(s.raw)
	return err
}

// Stream opens a stream connection, and returns it when the other side has
// accepted it. It is the caller's to close; Close of the Mesh does so too. The
// hello, of at most MaxHello bytes, is not kept. The context bounds the
// connecting, and the handshake takes at most 1 s. Errors are ErrTooLarge,
// ErrClosed, ErrKind, ErrCluster, ErrVersion, ErrProtocol, or those of the context
// or the system. What it returns has a method CloseWrite.
func (m *Mesh) Stream(ctx context.Context, addr netip.AddrPort, body []byte) (net.Conn, error) {
	if len(body) > MaxHello {
		return nil, fmt.Errorf("control: stream hello of %d bytes: %w: want at most %d", len(body), ErrTooLarge, MaxHello)
	}
	id, ok := m.enter()
	if !ok {
		return nil, fmt.Errorf("control: stream to %v: %w", addr, ErrClosed)
	}
	defer m.wg.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer onDone(m.ctx, func() { cancel(ErrClosed) })()
	h := hello{kind: kindStream, cluster: m.cfg.Cluster, from: id, body: body}
	c, raw, _, err := m.connect(ctx, addr, h)
	if err != nil {
		return nil, fmt.Errorf("control: stream to %v: %w", addr, err)
	}
	if !m.keep(raw) {
		_ = raw.Close()
		return nil, fmt.Errorf("control: stream to %v: %w", addr, ErrClosed)
	}
	return &stream{conn: c, raw: raw, m: m}, nil
}

// enter has Close wait for a caller until it calls wg.Done.
func (m *Mesh) enter() (id uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, false
	}
	m.wg.Add(1)
	return m.id, true
}
