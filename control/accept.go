package control

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// acceptPause is waited after a failed accept, such as for want of descriptors.
const acceptPause = 10 * time.Millisecond

// accept takes in connections until the listener is closed.
func (m *Mesh) accept() {
	for {
		raw, err := m.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			m.cfg.Logger.Warn("control: cannot accept", "addr", m.Addr(), "err", err)
			time.Sleep(acceptPause)
			continue
		}
		m.mu.Lock()
		if m.closed || m.strangers == maxStrangers {
			raw.Close()
		} else {
			m.strangers++
			m.guests[raw] = struct{}{}
			m.wg.Go(func() { m.welcome(raw) })
		}
		m.mu.Unlock()
	}
}

// welcome hears a connection's hello, answers it and serves it.
func (m *Mesh) welcome(raw *net.TCPConn) {
	raw.SetDeadline(time.Now().Add(handshakeTimeout))
	conn := net.Conn(raw)
	if m.cfg.TLS != nil {
		conn = tls.Server(raw, m.cfg.TLS)
	}
	h, err := readHello(conn) // and the TLS handshake before it
	a, l := m.judge(h, err, conn, raw)
	if err == nil || a.verdict == wrongVersion {
		_, err = conn.Write(a.append(nil))
	}
	switch {
	case l != nil:
		m.serve(l) // finds out if the answer could not be written
	case err == nil && a.verdict == accepted:
		m.cfg.Stream(h.body, conn)
		fallthrough
	default:
		conn.Close()
		m.mu.Lock()
		delete(m.guests, raw)
		m.mu.Unlock()
	}
	if err != nil || a.verdict != accepted {
		m.cfg.Logger.Debug("control: refused", "from", raw.RemoteAddr(), "verdict", verdicts[a.verdict], "err", err)
	}
}

// judge answers a hello, or err if there was none. If it was a peer's and is
// accepted, the link is up, but for the answer.
func (m *Mesh) judge(h hello, err error, conn net.Conn, raw *net.TCPConn) (answer, *link) {
	m.mu.Lock()
	defer m.unlock()
	m.strangers--
	a := answer{cluster: m.cfg.Cluster, id: m.id}
	switch {
	case err != nil:
		a.verdict = wrongVersion
	case h.cluster != m.cfg.Cluster:
		a.verdict = wrongCluster
	case h.kind == streamKind && m.cfg.Stream != nil:
		raw.SetDeadline(time.Time{})
	case h.kind != peerKind:
		a.verdict = wrongKind
	case h.to != m.id || m.id == 0:
		a.verdict = wrongIncarnation
	case !m.makeWay(h):
		a.verdict = superseded
	default:
		// Up before the answer goes: the dialler's side must not be connected
		// sooner than ours, or both could discard the other's connection.
		l := m.newLink(h.from, key{h.stamp, h.from}, up)
		m.clock = max(m.clock, h.stamp)
		delete(m.guests, raw)
		m.join(l, conn, raw)
		return a, l
	}
	return a, nil
}

// makeWay removes what there is to the peer that says hello, if that is older
// than what it offers; mu is held.
func (m *Mesh) makeWay(h hello) bool {
	old := m.peers[h.from]
	if old == nil {
		return true
	}
	if !(key{h.stamp, h.from}).newerThan(old.key) {
		return false
	}
	if old.state == dialling {
		m.leave(old, 0) // whoever dialled has what it wanted
	} else {
		m.abort(old, ErrReplaced)
	}
	return true
}
