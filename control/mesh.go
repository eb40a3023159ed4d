package control

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Mesh is a node's connections. Dial, Send, Hangup, Identify and Poll are for
// one loop; all methods may be called from any goroutine.
type Mesh struct {
	cfg      Config
	listener *net.TCPListener
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	waiting  atomic.Bool // events is not empty

	mu        sync.Mutex
	closed    bool
	id        uint64
	clock     uint64                    // greatest stamp given or seen
	peers     map[uint64]*link          // dialling or up
	links     map[*link]struct{}        // with a connection
	guests    map[*net.TCPConn]struct{} // that came in: in their handshake, or streams
	strangers int                       // guests in their handshake
	events    []posted
	ring      bool // unlock has to call Wake
}

// posted is an event that waits for Poll.
type posted struct {
	Event
	from *link // of Received
}

// keepAlive finds a host that vanished while nothing was being sent, in 4 s.
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
		cfg: cfg, listener: l.(*net.TCPListener),
		// A node that comes back under its old identity is newer than it was.
		clock: uint64(time.Now().UnixNano()),
		peers: map[uint64]*link{}, links: map[*link]struct{}{}, guests: map[*net.TCPConn]struct{}{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.wg.Go(m.accept)
	return m, nil
}

// Addr returns the address listened on.
func (m *Mesh) Addr() netip.AddrPort {
	addr := m.listener.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// Identify sets this node's identity, which is not 0. Connections of peers are
// closed as by Hangup and their events dropped: whatever Poll returns from now on
// is about the new identity.
func (m *Mesh) Identify(id uint64) {
	m.mu.Lock()
	defer m.unlock()
	m.id = id
	for _, l := range m.peers {
		m.leave(l, hangupTimeout)
	}
	m.drop(func(posted) bool { return true })
}

// Send queues a letter for a peer, in order; the body is the mesh's from now on.
// It is dropped if the peer is not connected. A letter of more than MaxFrame
// bytes, or more than 64 MiB in the queue, closes the connection: Disconnected
// with ErrTooLarge or ErrQueue.
func (m *Mesh) Send(peer uint64, body []byte) {
	m.mu.Lock()
	defer m.unlock()
	l := m.peers[peer]
	if l == nil || l.state != up {
		return
	}
	if len(body) > MaxFrame {
		m.abort(l, fmt.Errorf("letter of %d bytes: %w: want at most %d", len(body), ErrTooLarge, MaxFrame))
		return
	}
	l.queued += len(body) + letterOverhead
	if l.queued > maxQueue {
		m.abort(l, fmt.Errorf("%w: %d bytes, want at most %d", ErrQueue, l.queued, maxQueue))
		return
	}
	l.queue = append(l.queue, body)
	l.more.Signal()
}

// Hangup closes the connection to a peer, or stops dialling it. What is queued
// is written first if that takes at most 200 ms. Poll returns nothing more of the
// connection.
func (m *Mesh) Hangup(peer uint64) {
	m.mu.Lock()
	defer m.unlock()
	if l := m.peers[peer]; l != nil {
		m.leave(l, hangupTimeout)
	}
	m.drop(func(p posted) bool { return p.Peer == peer })
}

// Poll appends what has happened since the last Poll, in order. When nothing
// has, it costs a load. Of each peer the last connection's events come last, and
// nothing that was received comes after its Disconnected.
func (m *Mesh) Poll(to []Event) []Event {
	if !m.waiting.Load() {
		return to
	}
	m.mu.Lock()
	defer m.unlock()
	for _, p := range m.events {
		to = append(to, p.Event)
		if p.from != nil {
			p.from.unpolled -= len(p.Body) + letterOverhead
			p.from.room.Signal()
		}
	}
	m.drop(func(posted) bool { return true })
	return to
}

// post adds an event; mu is held.
func (m *Mesh) post(e Event, from *link) {
	if m.closed {
		return
	}
	m.ring = m.ring || len(m.events) == 0
	m.events = append(m.events, posted{e, from})
	m.waiting.Store(true)
}

// drop removes events; mu is held.
func (m *Mesh) drop(which func(posted) bool) {
	m.events = slices.DeleteFunc(m.events, which)
	if len(m.events) == 0 && cap(m.events) > 1<<12 {
		m.events = nil
	}
	m.waiting.Store(len(m.events) > 0)
}

// unlock unlocks mu, and then wakes the loop if events were posted.
func (m *Mesh) unlock() {
	ring := m.ring
	m.ring = false
	m.mu.Unlock()
	if ring {
		m.cfg.Wake()
	}
}

// Close closes the listener and all connections, those of Config.Stream
// included. Letters that are queued are written first if that takes at most
// 100 ms. It returns when all goroutines of the mesh have ended; none calls Wake
// or Stream afterwards, and Poll returns nothing.
func (m *Mesh) Close() error {
	m.mu.Lock()
	m.closed = true
	m.cancel()
	err := m.listener.Close()
	for _, l := range m.peers {
		m.leave(l, closeTimeout)
	}
	for l := range m.links {
		m.leave(l, closeTimeout)
	}
	for raw := range m.guests {
		raw.Close()
	}
	m.drop(func(posted) bool { return true })
	m.mu.Unlock()
	m.wg.Wait()
	return err
}
