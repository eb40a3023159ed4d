package control

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// key orders the connections between two peers. When both dial at once, both
// sides keep the one with the greater key, whatever they see first; and as a
// stamp is greater than all that its dialler has seen, a connection dialled
// after another was up replaces it.
type key struct {
	stamp   uint64
	dialler uint64
}

// maxStamp leaves stamps room to grow.
const maxStamp = 1 << 63

func (k key) newerThan(other key) bool {
	return k.stamp > other.stamp || k.stamp == other.stamp && k.dialler > other.dialler
}

type state uint8

const (
	dialling state = iota // in Mesh.peers, without a connection
	up                    // in Mesh.peers and Mesh.links
	leaving               // in Mesh.links: writes what is queued, throws away what comes
	dead                  // its connection is closed
)

// link is one connection to a peer, or the attempt at one. Mesh.mu guards it but
// for conn and raw, which do not change once it is up.
type link struct {
	peer   uint64
	key    key
	state  state
	cancel context.CancelFunc // of dialling

	conn net.Conn     // read and written
	raw  *net.TCPConn // conn, or what lies below its TLS

	queue    [][]byte
	queued   int       // bytes of queue and of what is being written
	more     sync.Cond // queue or state has changed
	unpolled int       // bytes of letters that wait for Poll
	room     sync.Cond // unpolled or state has changed
	writeErr error     // why the writer has stopped
}

func (m *Mesh) newLink(peer uint64, k key, s state) *link {
	return &link{peer: peer, key: k, state: s, more: sync.Cond{L: &m.mu}, room: sync.Cond{L: &m.mu}}
}

// join makes a link the peer's, with a connection whose handshake is done but
// for what the caller still writes before serve. mu is held.
func (m *Mesh) join(l *link, conn net.Conn, raw *net.TCPConn) {
	raw.SetDeadline(time.Time{})
	l.conn, l.raw, l.state = conn, raw, up
	m.peers[l.peer] = l
	m.links[l] = struct{}{}
	m.post(Event{Kind: Connected, Peer: l.peer}, nil)
}

// serve moves the link's bytes until it is dead.
func (m *Mesh) serve(l *link) {
	m.wg.Go(func() { m.write(l) })
	err := m.read(l)
	m.mu.Lock()
	defer m.unlock()
	if l.writeErr != nil {
		err = l.writeErr
	}
	m.fail(l, err)
	delete(m.links, l)
}

// read posts letters until the connection ends, and returns why.
func (m *Mesh) read(l *link) error {
	r := bufio.NewReaderSize(l.conn, 32<<10)
	for {
		body, err := readFrame(r)
		if err != nil {
			return err
		}
		m.deliver(l, body)
	}
}

func (m *Mesh) deliver(l *link, body []byte) {
	m.mu.Lock()
	defer m.unlock()
	for l.state == up && l.unpolled > maxQueue {
		l.room.Wait()
	}
	if l.state == up {
		l.unpolled += len(body) + letterOverhead
		m.post(Event{Kind: Received, Peer: l.peer, Body: body}, l)
	}
}

// write writes what is queued until the link is dead, or leaves and has said all.
func (m *Mesh) write(l *link) {
	f := framer{w: l.conn}
	for {
		letters := m.take(l)
		if letters == nil {
			break
		}
		if err := f.write(letters); err != nil {
			m.stopped(l, err)
			return
		}
	}
	l.raw.CloseWrite() // the reader goes on until the peer has closed too
}

// take waits for letters; nil means there will be none. What was taken before
// counts as written.
func (m *Mesh) take(l *link) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.queued = 0
	for _, body := range l.queue {
		l.queued += len(body) + letterOverhead
	}
	for l.state == up && len(l.queue) == 0 {
		l.more.Wait()
	}
	letters := l.queue
	l.queue = nil
	return letters
}

// stopped has the reader take what the peer sent before the connection broke,
// and report why.
func (m *Mesh) stopped(l *link, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.writeErr = err
	l.raw.SetReadDeadline(time.Now().Add(hangupTimeout))
}

// fail ends a link with a Disconnected, unless it is leaving. mu is held.
func (m *Mesh) fail(l *link, err error) {
	if l.state == dialling || l.state == up {
		delete(m.peers, l.peer)
		m.post(Event{Kind: Disconnected, Peer: l.peer, Err: fmt.Errorf("control: member %d: %w", l.peer, err)}, nil)
	}
	l.end()
}

// abort is fail for a connection that is not to linger: the kernel drops what it
// holds and resets it. mu is held.
func (m *Mesh) abort(l *link, err error) {
	l.raw.SetLinger(0)
	m.fail(l, err)
}

// leave ends a link without events. One that is up has some time to write what
// is queued. mu is held.
func (m *Mesh) leave(l *link, within time.Duration) {
	if m.peers[l.peer] == l {
		delete(m.peers, l.peer)
	}
	switch l.state {
	case dialling:
		l.end()
	case up, leaving:
		l.state = leaving
		l.raw.SetDeadline(time.Now().Add(within))
		l.wake()
	}
}

func (l *link) end() {
	l.state, l.queue = dead, nil
	if l.cancel != nil {
		l.cancel()
	}
	if l.raw != nil {
		l.raw.Close()
	}
	l.wake()
}

func (l *link) wake() {
	l.more.Broadcast()
	l.room.Broadcast()
}
