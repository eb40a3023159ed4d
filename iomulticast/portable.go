package iomulticast

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cohort/batch"

	"golang.org/x/net/ipv4"
)

const (
	// portableQueue is how many packets, per socket, wait between the reading
	// goroutine and the loop. What does not fit waits in the kernel.
	portableQueue = 64

	// portableRetry is how long a send that found no buffer waits. Systems that
	// say so (ENOBUFS) do not say when there is one again.
	portableRetry = 200 * time.Microsecond

	// wsaNoBuffers is what Windows says for ENOBUFS: that of package syscall is of its own
	// making there. Elsewhere no error has this number.
	wsaNoBuffers = syscall.Errno(10055)
)

// portableLink is a node's sockets over package net, one packet per system call:
// outside Linux the batches of x/net hold one packet too, and on Windows they
// are missing. A goroutine for each socket reads ahead, since package net cannot
// ask two sockets at once whether something is there.
//
// The multicast socket is bound to the port alone, as package net does it, so
// it may also hear other groups with this port that the host has joined.
type portableLink struct {
	features           Features
	addr               netip.AddrPort
	multicast, unicast *net.UDPConn
	fromGroup, fromAll *mailbox
	unsent             []byte // of the train that found no buffer, with what is left of it
	unsentRest         []byte

	ready   chan struct{} // holds a token when Wait has a reason to return
	closing chan struct{}
	closed  atomic.Bool
	timer   *time.Timer
	readers sync.WaitGroup
}

// mailbox is what one socket received. Packets go round: free, filled, free.
type mailbox struct {
	free, filled chan *packet
}

type packet struct {
	buf  []byte
	size int
	from netip.AddrPort
}

func openPortable(cfg Config, n nic) (link, error) {
	p := &portableLink{
		fromGroup: newMailbox(),
		fromAll:   newMailbox(),
		ready:     make(chan struct{}, 1),
		closing:   make(chan struct{}),
		timer:     time.NewTimer(0),
	}
	if err := p.open(cfg, n); err != nil {
		return nil, errors.Join(err, closeAll(p.multicast, p.unicast))
	}
	p.addr = netip.MustParseAddrPort(p.unicast.LocalAddr().String())
	p.describe(cfg, n)
	p.readers.Go(func() { p.read(p.multicast, p.fromGroup) })
	p.readers.Go(func() { p.read(p.unicast, p.fromAll) })
	return p, nil
}

func newMailbox() *mailbox {
	m := &mailbox{free: make(chan *packet, portableQueue), filled: make(chan *packet, portableQueue)}
	for range portableQueue {
		m.free <- &packet{buf: make([]byte, batch.MaxPayload)}
	}
	return m
}

func (p *portableLink) open(cfg Config, n nic) (err error) {
	p.multicast, err = net.ListenMulticastUDP("udp4", &n.Interface, net.UDPAddrFromAddrPort(cfg.Group))
	if err != nil {
		return err
	}
	p.unicast, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.addr, uint16(cfg.Port))))
	if err != nil {
		return err
	}
	out := ipv4.NewPacketConn(p.unicast)
	return errors.Join(
		out.SetMulticastInterface(&n.Interface),
		out.SetMulticastTTL(cfg.TTL),
		out.SetMulticastLoopback(true),
		// Windows looks at the receiving socket's setting.
		ipv4.NewPacketConn(p.multicast).SetMulticastLoopback(true),
	)
}

// describe grows the buffers and fills the features in.
func (p *portableLink) describe(cfg Config, n nic) {
	none := Feature{Why: "only on Linux"}
	p.features = Features{
		Interface: n.Name, MTU: n.MTU, Segment: cfg.segment(n.MTU), Multicast: Feature{On: true}, Portable: true,
		GSO: none, GRO: none, Filter: none,
		RecvBufferAsked: cfg.RecvBuffer,
		RecvBuffer: min(
			grow(p.multicast.SetReadBuffer, cfg.RecvBuffer),
			grow(p.unicast.SetReadBuffer, cfg.RecvBuffer),
		),
		SendBuffer: grow(p.unicast.SetWriteBuffer, cfg.SendBuffer),
	}
	if got := p.features.RecvBuffer; got < cfg.RecvBuffer {
		p.features.RecvBufferRefused = fmt.Sprintf("asked %d bytes, granted %d", cfg.RecvBuffer, got)
	}
}

// grow sets a buffer as large as the system takes, halving what it refuses.
func grow(set func(int) error, want int) int {
	for want > 0 && set(want) != nil {
		want /= 2
	}
	return want
}

// read moves packets from a socket to its mailbox until the socket is closed.
func (p *portableLink) read(from *net.UDPConn, m *mailbox) {
	for {
		var next *packet
		select {
		case next = <-m.free:
		case <-p.closing:
			return
		}
		var err error
		next.size, next.from, err = from.ReadFromUDPAddrPort(next.buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // of one packet: too long, or an answer that nobody listens
			m.free <- next
			time.Sleep(portableRetry) // should it last, do not spin
			continue
		}
		m.filled <- next
		p.signal()
	}
}

func (p *portableLink) signal() {
	select {
	case p.ready <- struct{}{}:
	default: // a token is there already
	}
}

func (p *portableLink) Addr() netip.AddrPort { return p.addr }

func (p *portableLink) Features() Features { return p.features }

// Send may block while the system has no room.
func (p *portableLink) Send(trains []batch.Train) (int, error) {
	for i := range trains {
		t := &trains[i]
		if t.Segment <= 0 && len(t.Buf) > 0 || t.Segment > batch.MaxPayload {
			return i, fmt.Errorf("%w: packets of %d bytes, want 1 to %d", batch.ErrTrain, t.Segment, batch.MaxPayload)
		}
		rest, err := p.sendTrain(t)
		if err == nil {
			continue
		}
		if noBuffers(err) {
			p.unsent, p.unsentRest = t.Buf, rest
			return i, batch.ErrAgain
		}
		return i, fmt.Errorf("iomulticast: send to %v: %w", t.To.AddrPort(), err)
	}
	return len(trains), nil
}

func noBuffers(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, wsaNoBuffers)
}

// sendTrain sends what is left of a train and returns what still is.
func (p *portableLink) sendTrain(t *batch.Train) (rest []byte, err error) {
	rest = t.Buf
	if len(p.unsent) > 0 && len(p.unsent) == len(t.Buf) && &p.unsent[0] == &t.Buf[0] {
		rest = p.unsentRest
	}
	p.unsent, p.unsentRest = nil, nil
	for len(rest) > 0 {
		next := rest[:min(t.Segment, len(rest))]
		if _, err := p.unicast.WriteToUDPAddrPort(next, t.To.AddrPort()); err != nil {
			return rest, err
		}
		rest = rest[len(next):]
	}
	return nil, nil
}

func (p *portableLink) RecvMulticast(trains []batch.Train) (int, error) {
	return p.recv(p.fromGroup, trains)
}

func (p *portableLink) RecvUnicast(trains []batch.Train) (int, error) {
	return p.recv(p.fromAll, trains)
}

func (p *portableLink) recv(m *mailbox, trains []batch.Train) (int, error) {
	if p.closed.Load() {
		return 0, net.ErrClosed
	}
	for i := range trains {
		select {
		case next := <-m.filled:
			take(&trains[i], next)
			m.free <- next
		default:
			return i, nil
		}
	}
	return len(trains), nil
}

// take copies a packet; like package batch, it drops one that does not fit.
func take(t *batch.Train, p *packet) {
	size := p.size
	if size > len(t.Buf) {
		size = 0
	}
	t.Buf = t.Buf[:copy(t.Buf, p.buf[:size])]
	t.Segment, t.From = size, p.from
}

func (p *portableLink) Wait(timeout time.Duration) error {
	if p.closed.Load() {
		return net.ErrClosed
	}
	if len(p.fromGroup.filled)+len(p.fromAll.filled) > 0 {
		return nil
	}
	var expired <-chan time.Time // nil: never
	if timeout >= 0 {
		p.timer.Reset(timeout)
		expired = p.timer.C
	}
	select {
	case <-p.ready:
	case <-expired:
	}
	return nil
}

func (p *portableLink) WaitWritable(timeout time.Duration) error {
	if p.closed.Load() {
		return net.ErrClosed
	}
	if timeout < 0 {
		timeout = portableRetry
	}
	time.Sleep(min(timeout, portableRetry))
	return nil
}

func (p *portableLink) Wake() error {
	if p.closed.Load() {
		return net.ErrClosed
	}
	p.signal()
	return nil
}

func (p *portableLink) Nap(d time.Duration) { time.Sleep(d) }

func (p *portableLink) PrepareThread() error { return nil }

func (p *portableLink) Drops() uint64 { return 0 }

func (p *portableLink) Close() error {
	if p.closed.Swap(true) {
		return net.ErrClosed
	}
	close(p.closing)
	p.timer.Stop()
	err := closeAll(p.multicast, p.unicast)
	p.readers.Wait()
	return err
}

func closeAll(conns ...*net.UDPConn) error {
	var errs []error
	for _, c := range conns {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
