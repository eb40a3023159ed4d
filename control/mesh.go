package control

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Mesh is a node's connections. Dial, Send, Hangup, Identify and Poll never
// block; all methods may be called from any goroutine.
type Mesh struct {
	cfg      Config
	listener *net.TCPListener
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	slots    chan struct{} // one for each connection in its handshake
	waiting  atomic.Bool   // events is not empty

	mu       sync.Mutex
	closed   bool
	id       uint64
	attempts uint64                // dials begun
	dials    map[uint64]*dial      // to peers, in progress
	peers    map[uint64]*peer      // connected
	links    map[*peer]struct{}    // peers, and those hung up that are not yet closed
	sockets  map[net.Conn]struct{} // below handshakes of others, and streams
	events   []Event
	unpolled map[uint64]int // bytes of letters in events, by peer
	polled   sync.Cond      // unpolled or peers has changed
	ring     bool           // unlock has to call Wake
}

// keepAlive finds a host that vanished while nothing was being sent, in 4 s; see
// unansweredTimeout for one to which something was.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}

// Open listens. Peers are refused until Identify has been called; streams are
// not. Errors are ErrConfig, or the system's.
func Open(cfg Config) (*Mesh, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", cfg.Listen.String())
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	m := &Mesh{
		cfg: cfg, listener: l.(*net.TCPListener), slots: make(chan struct{}, maxHandshakes),
		dials: map[uint64]*dial{}, peers: map[uint64]*peer{}, links: map[*peer]struct{}{},
		sockets: map[net.Conn]struct{}{}, unpolled: map[uint64]int{},
	}
	m.polled.L = &m.mu
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.spawn("accept", m.accept)
	return m, nil
}

// spawn runs f on a goroutine that Close waits for, labelled with what it does.
func (m *Mesh) spawn(role string, f func()) {
	m.wg.Go(func() {
		ctx := pprof.WithLabels(context.Background(), m.cfg.Labels) // not those of who happens to call
		pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels(RoleLabel, "control-"+role)))
		f()
	})
}

// Addr returns the address listened on.
func (m *Mesh) Addr() netip.AddrPort {
	addr := m.listener.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// Identify sets this node's identity, which is not 0. Peers are hung up and all
// events dropped: whatever Poll returns from now on is about the new identity.
// Streams stay.
func (m *Mesh) Identify(id uint64) {
	m.mu.Lock()
	defer m.unlock()
	m.id = id
	m.hangupAll(hangupTimeout)
}

// Send queues a letter for a peer, in order; the body is the mesh's from now on.
// It is dropped if the peer is not connected. A letter of more than MaxFrame
// bytes, or a queue of more than MaxBacklog, closes the connection: Disconnected
// with ErrTooLarge or ErrBacklog.
func (m *Mesh) Send(peer uint64, body []byte) {
	m.mu.Lock()
	defer m.unlock()
	p := m.peers[peer]
	if p == nil || p.broken != nil {
		return
	}
	size := len(body) + letterOverhead
	switch {
	case len(body) > MaxFrame:
		m.abort(p, fmt.Errorf("letter of %d bytes: %w: want at most %d", len(body), ErrTooLarge, MaxFrame))
	case p.queued+size > MaxBacklog:
		m.abort(p, fmt.Errorf("%d bytes: %w: want at most %d", p.queued+size, ErrBacklog, MaxBacklog))
	default:
		p.queue, p.queued = append(p.queue, body), p.queued+size
		p.ring()
	}
}

// Hangup closes the connection to a peer, or stops dialling it. What is queued
// is written first if that takes at most 200 ms. Poll returns nothing more of it.
func (m *Mesh) Hangup(peer uint64) {
	m.mu.Lock()
	defer m.unlock()
	m.hangup(peer, hangupTimeout)
	m.events = slices.DeleteFunc(m.events, func(e Event) bool { return e.Peer == peer })
	m.waiting.Store(len(m.events) > 0)
	delete(m.unpolled, peer)
}

// Poll appends what has happened since the last Poll, in order; the bodies are
// the caller's. When nothing has, it costs a load.
func (m *Mesh) Poll(to []Event) []Event {
	if !m.waiting.Load() {
		return to
	}
	m.mu.Lock()
	defer m.unlock()
	to = append(to, m.events...)
	m.forget()
	return to
}

// Close closes the listener and all connections, streams included. Letters that
// are queued are written first if that takes at most 100 ms. It returns when all
// goroutines have ended, those in Config.Stream included; Wake is not called and
// Poll returns nothing afterwards. Closing again does nothing.
func (m *Mesh) Close() error {
	m.mu.Lock()
	var err error
	if !m.closed {
		m.closed = true
		m.cancel()
		err = m.listener.Close()
		m.hangupAll(closeTimeout)
		for p := range m.links {
			m.closeWithin(p, closeTimeout)
		}
		for socket := range m.sockets {
			_ = socket.Close()
		}
	}
	m.mu.Unlock()
	m.wg.Wait()
	return err
}

// The methods below need m.mu.

// post adds an event for Poll.
func (m *Mesh) post(e Event) {
	if m.closed {
		return
	}
	if e.Kind == Received {
		m.unpolled[e.Peer] += len(e.Body) + letterOverhead
	}
	m.ring = m.ring || len(m.events) == 0
	m.events = append(m.events, e)
	m.waiting.Store(true)
}

// forget empties the list of events. A list that was long is not kept.
func (m *Mesh) forget() {
	clear(m.events)
	if m.events = m.events[:0]; cap(m.events) > 1<<12 {
		m.events = nil
	}
	clear(m.unpolled)
	m.waiting.Store(false)
	m.polled.Broadcast()
}

// unlock unlocks mu, and then wakes the loop if there are first events.
func (m *Mesh) unlock() {
	ring := m.ring
	m.ring = false
	m.mu.Unlock()
	if ring {
		m.cfg.Wake()
	}
}

// start makes p the peer's connection, and moves its bytes.
func (m *Mesh) start(p *peer) {
	if raw, ok := p.raw.(*net.TCPConn); ok {
		if err := boundUnanswered(raw, unansweredTimeout); err != nil {
			m.cfg.Logger.Warn("control: a host that vanishes will be noticed late", "peer", p.id, "error", err)
		}
	}
	m.peers[p.id] = p
	m.links[p] = struct{}{}
	m.post(Event{Kind: Connected, Peer: p.id})
	m.spawn("reader", p.read)
	m.spawn("writer", p.write)
}

// drop closes a connection; err is why, for the Disconnected of one that was not
// hung up. Of several calls the first counts.
func (m *Mesh) drop(p *peer, err error) {
	if _, open := m.links[p]; !open {
		return
	}
	delete(m.links, p)
	if m.peers[p.id] == p {
		delete(m.peers, p.id)
		m.post(Event{Kind: Disconnected, Peer: p.id, Err: fmt.Errorf("control: peer %d: %w", p.id, err)})
	}
	p.queue = nil
	close(p.done)
	_ = p.raw.Close()
	m.polled.Broadcast()
}

// abort is drop for a connection that is not worth what the kernel still holds.
func (m *Mesh) abort(p *peer, err error) {
	_ = p.raw.(*net.TCPConn).SetLinger(0)
	m.drop(p, err)
}

func (m *Mesh) hangup(peer uint64, within time.Duration) {
	if d := m.dials[peer]; d != nil {
		m.giveUp(d)
	}
	if p := m.peers[peer]; p != nil {
		delete(m.peers, peer)
		p.ending = true
		p.ring()
		m.closeWithin(p, within)
		m.polled.Broadcast()
	}
}

func (m *Mesh) hangupAll(within time.Duration) {
	for _, d := range m.dials {
		m.giveUp(d)
	}
	for id := range m.peers {
		m.hangup(id, within)
	}
	m.forget()
}

// closeWithin bounds how long a connection that is ending stays open. A deadline
// would not do: TLS sets its own when it says that it ends, and a reader may wait
// for Poll.
func (m *Mesh) closeWithin(p *peer, d time.Duration) {
	m.spawn("hangup", func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			p.fail(context.DeadlineExceeded)
		case <-p.done:
		}
	})
}
