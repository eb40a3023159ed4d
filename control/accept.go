package control

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// acceptPause is waited after a failed accept, such as for want of descriptors.
const acceptPause = 10 * time.Millisecond

// accept takes connections until the listener is closed.
func (m *Mesh) accept() {
	for {
		raw, err := m.listener.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			m.cfg.Logger.Warn("control: cannot accept", "listener", m.Addr(), "error", err)
			time.Sleep(acceptPause)
		default:
			m.admit(raw)
		}
	}
}

// admit begins a handshake, if there is a slot for it.
func (m *Mesh) admit(raw *net.TCPConn) {
	select {
	case m.slots <- struct{}{}:
	default:
		_ = raw.Close()
		return
	}
	if !m.keep(raw) {
		_ = raw.Close()
		<-m.slots
		return
	}
	m.spawn("handshake", func() { m.welcome(raw) })
}

// keep has Close close a socket; false means that it is too late for that.
func (m *Mesh) keep(raw net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.sockets[raw] = struct{}{}
	}
	return !m.closed
}

func (m *Mesh) release(raw net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sockets, raw)
}

// welcome hears a hello, answers it, and hands the connection on.
func (m *Mesh) welcome(raw *net.TCPConn) {
	_ = raw.SetDeadline(time.Now().Add(handshakeTimeout))
	c := conn(raw)
	if m.cfg.TLS != nil {
		c = tls.Server(raw, m.cfg.TLS)
	}
	h, err := readHello(c) // and the handshake of TLS before it
	<-m.slots
	a, connected := m.judge(h, err, c, raw)
	if connected {
		return
	}
	if err == nil || a.verdict == wrongVersion {
		if _, failed := c.Write(a.encode()); failed != nil {
			err = failed
		}
	}
	if err == nil && a.verdict == accepted {
		_ = raw.SetDeadline(time.Time{})
		m.cfg.Stream(h.body, &stream{conn: c, raw: raw, m: m})
		return
	}
	m.cfg.Logger.Debug("control: refused", "from", raw.RemoteAddr(), "verdict", a.verdict, "error", err)
	_ = c.Close()
	m.release(raw)
}

// judge answers a hello, or the error in place of one. A peer that is accepted is
// connected, and its writer will write the answer: were it written first, the
// dialler could be connected sooner than we, and of two connections that cross,
// each side could close the other's.
func (m *Mesh) judge(h hello, err error, c conn, raw *net.TCPConn) (a answer, connected bool) {
	m.mu.Lock()
	defer m.unlock()
	a = answer{id: m.id, attempts: m.attempts}
	switch {
	case errors.Is(err, ErrVersion):
		a.verdict = wrongVersion
	case err != nil:
		a.verdict = wrongKind // not written
	case h.cluster != m.cfg.Cluster:
		a.verdict = wrongCluster
	case h.kind == kindStream && m.cfg.Stream == nil:
		a.verdict = wrongKind
	case h.kind == kindStream:
	case m.closed || m.id == 0 || h.to != m.id:
		a.verdict = wrongIdentity
	case !m.makeWay(h):
		a.verdict = stale
	default:
		delete(m.sockets, raw)
		_ = raw.SetDeadline(time.Time{})
		p := newPeer(m, h.from, c, raw, h.attempt)
		p.answer = a.encode()
		m.start(p)
		return a, true
	}
	return a, false
}

// makeWay ends what there is to the peer that says hello, unless that goes first.
// When both dial at once, the dial of the greater identity goes first. It needs
// m.mu.
func (m *Mesh) makeWay(h hello) bool {
	if d := m.dials[h.from]; d != nil {
		if m.id > h.from {
			return false
		}
		m.giveUp(d)
	}
	if old := m.peers[h.from]; old != nil {
		if h.attempt <= old.last {
			return false
		}
		m.abort(old, ErrReplaced)
	}
	return true
}
