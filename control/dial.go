package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// dial is an attempt to connect to a peer.
type dial struct {
	peer   uint64
	cancel context.CancelFunc
}

// Dial begins to connect to a peer, unless it is connected or being dialled. It
// ends within 1 s, in Connected, or in Disconnected with why: ErrIdentity if
// another than peer listens there or this node has no identity, ErrCluster,
// ErrVersion, ErrProtocol, ErrStale, context.DeadlineExceeded, or the system's.
func (m *Mesh) Dial(peer uint64, addr netip.AddrPort) {
	m.mu.Lock()
	defer m.unlock()
	if m.closed || m.dials[peer] != nil || m.peers[peer] != nil {
		return
	}
	if m.id == 0 || peer == 0 || peer == m.id {
		err := fmt.Errorf("control: peer %d: %w: want one that is not 0, nor ours, %d", peer, ErrIdentity, m.id)
		m.post(Event{Kind: Disconnected, Peer: peer, Err: err})
		return
	}
	m.attempts++
	h := hello{kind: kindPeer, cluster: m.cfg.Cluster, from: m.id, to: peer, attempt: m.attempts}
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout)
	d := &dial{peer: peer, cancel: cancel}
	m.dials[peer] = d
	m.spawn("dial", func() {
		defer cancel()
		c, raw, a, err := m.connect(ctx, addr, h)
		if errors.Is(err, ErrStale) {
			<-ctx.Done() // the peer's own dial is on its way, and ends this one
		}
		m.dialled(d, c, raw, a, err)
	})
}

// dialled reports how a dial ended, unless it was given up.
func (m *Mesh) dialled(d *dial, c conn, raw *net.TCPConn, a answer, err error) {
	m.mu.Lock()
	defer m.unlock()
	switch {
	case m.dials[d.peer] != d:
		if err == nil {
			_ = raw.Close()
		}
	case err != nil:
		delete(m.dials, d.peer)
		m.post(Event{Kind: Disconnected, Peer: d.peer, Err: fmt.Errorf("control: peer %d: %w", d.peer, err)})
	default:
		delete(m.dials, d.peer)
		m.start(newPeer(m, d.peer, c, raw, a.attempts))
	}
}

// giveUp ends a dial without an event; it needs m.mu.
func (m *Mesh) giveUp(d *dial) {
	delete(m.dials, d.peer)
	d.cancel()
}

// connect dials, says hello and hears the answer. The connection is the caller's
// and has no deadline.
func (m *Mesh) connect(ctx context.Context, addr netip.AddrPort, h hello) (conn, *net.TCPConn, answer, error) {
	dialer := net.Dialer{LocalAddr: m.source(), KeepAliveConfig: keepAlive}
	socket, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, nil, answer{}, because(ctx, err)
	}
	raw := socket.(*net.TCPConn)
	c := conn(raw)
	if m.cfg.TLS != nil {
		c = tls.Client(raw, m.tlsFor(addr))
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	stop := onDone(ctx, func() { _ = raw.Close() })
	a, err := greet(c, h, addr)
	if stop(); err == nil {
		err = ctx.Err() // it is closed if the context has ended meanwhile
	}
	if err != nil {
		_ = raw.Close()
		return nil, nil, a, because(ctx, err)
	}
	return c, raw, a, nil
}

func greet(c conn, h hello, addr netip.AddrPort) (answer, error) {
	if _, err := c.Write(h.encode()); err != nil {
		return answer{}, fmt.Errorf("%v: %w", addr, err)
	}
	a, err := readAnswer(c)
	if err != nil {
		return answer{}, fmt.Errorf("%v: %w", addr, err)
	}
	return a, a.check(h, addr)
}

// source is the address that dialling starts from, so that the traffic stays on
// the listener's interface.
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
	cfg := m.cfg.TLS.Clone()
	cfg.ServerName = addr.Addr().WithZone("").String()
	return cfg
}

// because puts the reason in front of err if the context has ended.
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
