package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Dial begins to connect to a peer, unless it is connected or being dialled. It
// ends within 1 s, in Connected, or in Disconnected with why: ErrIncarnation if
// another incarnation than peer listens there or this node has no identity,
// ErrCluster, ErrVersion, ErrHandshake, ErrSuperseded, or the system's.
func (m *Mesh) Dial(peer uint64, addr netip.AddrPort) {
	m.mu.Lock()
	defer m.unlock()
	if m.closed || m.peers[peer] != nil {
		return
	}
	m.clock++
	l := m.newLink(peer, key{m.clock, m.id}, dialling)
	m.peers[peer] = l
	if m.id == 0 || peer == m.id || peer == 0 {
		m.fail(l, fmt.Errorf("%w: cannot dial %d as %d, want two identities that are not 0", ErrIncarnation, peer, m.id))
		return
	}
	h := hello{kind: peerKind, cluster: m.cfg.Cluster, from: m.id, to: peer, stamp: m.clock}
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout)
	l.cancel = cancel
	m.wg.Go(func() { m.dial(ctx, l, addr, h) })
}

func (m *Mesh) dial(ctx context.Context, l *link, addr netip.AddrPort, h hello) {
	conn, raw, err := m.connect(ctx, addr, h)
	if errors.Is(err, ErrSuperseded) {
		<-ctx.Done() // the peer's connection is on its way
	}
	if m.dialled(l, conn, raw, err) {
		m.serve(l)
	}
	l.cancel()
}

// dialled puts the outcome on record and returns whether the link is up.
func (m *Mesh) dialled(l *link, conn net.Conn, raw *net.TCPConn, err error) bool {
	m.mu.Lock()
	defer m.unlock()
	switch {
	case l.state != dialling:
		if raw != nil {
			raw.Close()
		}
		return false
	case err != nil:
		m.fail(l, err)
		return false
	}
	m.join(l, conn, raw)
	return true
}

// Stream opens a stream connection and returns it when the other side has
// accepted it; it is the caller's to close. The hello, of at most MaxHello bytes,
// is not kept. The context bounds the connecting, and the handshake takes at
// most 1 s. Errors are ErrTooLarge, ErrClosed, ErrKind, ErrCluster, ErrVersion,
// ErrHandshake, or those of the context or the system.
func (m *Mesh) Stream(ctx context.Context, addr netip.AddrPort, body []byte) (net.Conn, error) {
	if len(body) > MaxHello {
		return nil, fmt.Errorf("control: stream hello of %d bytes: %w: want at most %d", len(body), ErrTooLarge, MaxHello)
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, fmt.Errorf("control: stream to %v: %w", addr, ErrClosed)
	}
	m.wg.Add(1)
	defer m.wg.Done()
	h := hello{kind: streamKind, cluster: m.cfg.Cluster, from: m.id, body: body}
	m.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer onDone(m.ctx, func() { cancel(ErrClosed) })()
	conn, _, err := m.connect(ctx, addr, h)
	if err != nil {
		return nil, fmt.Errorf("control: stream: %w", err)
	}
	return conn, nil
}

// connect dials and does the dialler's side of the handshake.
func (m *Mesh) connect(ctx context.Context, addr netip.AddrPort, h hello) (net.Conn, *net.TCPConn, error) {
	dialer := net.Dialer{LocalAddr: m.source(), KeepAliveConfig: keepAlive}
	c, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, nil, because(ctx, err)
	}
	raw := c.(*net.TCPConn)
	conn := c
	if m.cfg.TLS != nil {
		conn = tls.Client(raw, m.tlsFor(addr))
	}
	raw.SetDeadline(time.Now().Add(handshakeTimeout))
	stop := onDone(ctx, func() { raw.Close() })
	err = greet(conn, h)
	stop()
	if err == nil {
		err = raw.SetDeadline(time.Time{}) // fails if the context has ended in time
	}
	if err != nil {
		raw.Close()
		return nil, nil, fmt.Errorf("%v: %w", addr, because(ctx, err))
	}
	return conn, raw, nil
}

// greet says hello and hears the answer.
func greet(conn net.Conn, h hello) error {
	if _, err := conn.Write(h.append(nil)); err != nil {
		return err
	}
	a, err := readAnswer(conn)
	if err != nil {
		return err
	}
	return a.err()
}

// source is the address that dialling starts from, so that it stays on the
// listener's interface.
func (m *Mesh) source() net.Addr {
	ip := m.cfg.Listen.Addr()
	if ip.IsUnspecified() {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
}

func (m *Mesh) tlsFor(addr netip.AddrPort) *tls.Config {
	if m.cfg.TLS.ServerName != "" {
		return m.cfg.TLS
	}
	c := m.cfg.TLS.Clone()
	c.ServerName = addr.Addr().WithZone("").String()
	return c
}

// because returns err, with the reason in front if the context has ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// onDone calls f once ctx has ended. The function returned prevents that, or
// waits for it.
func onDone(ctx context.Context, f func()) func() {
	called := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(called)
		f()
	})
	return func() {
		if !stop() {
			<-called
		}
	}
}
