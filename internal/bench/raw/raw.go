// Package raw is multicast with no protocol at all: what the kernel allows. The
// sockets, the trains, the packing and the frames are the engine's; there is no
// order, no checksum, no repair and no memory of what was sent. All that receivers
// send back is how far they are, so that a sender does not overrun them.
package raw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"cohort/batch"
	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/iomulticast"
)

const (
	// nap is how long a busy loop sleeps, to then take all that has come at once.
	nap = 100 * time.Microsecond

	// busy is how many bytes a turn must have received to be followed by a nap.
	busy = 32 << 10

	// stall is how long a sender waits to hear from receivers before it asks them.
	stall = 20 * time.Millisecond
)

// Medium is one member's raw multicast.
type Medium struct {
	conn  *iomulticast.Conn
	jobs  chan func()
	ended chan struct{} // closed when the loop has ended; err and dropped are then set

	// What follows belongs to the loop.
	in      receiver
	out     sender
	sent    chan<- error // where the end of the source is to be reported
	stop    bool
	err     error
	dropped uint64
}

// Open opens the sockets. Packets of other runs, which differ in id, are ignored.
func Open(cfg iomulticast.Config, id uint32, sink member.Sink) (*Medium, error) {
	conn, err := iomulticast.Open(cfg)
	if err != nil {
		return nil, fmt.Errorf("raw: %w", err)
	}
	f := conn.Features()
	m := &Medium{
		conn: conn, jobs: make(chan func(), 1), ended: make(chan struct{}),
		in: newReceiver(id, sink), out: newSender(id, f.Segment, f.RecvBuffer, sink),
	}
	go m.run()
	return m, nil
}

// Features returns what the sockets can do.
func (m *Medium) Features() iomulticast.Features { return m.conn.Features() }

// Addr returns the address that the member can be sent to alone.
func (m *Medium) Addr() netip.AddrPort { return m.conn.Addr() }

// Begin prepares for a row. The error names an address in it that is none.
func (m *Medium) Begin(row member.Row) error {
	others, err := destinations(row)
	if err != nil {
		return err
	}
	return m.do(func() {
		m.in.begin(row)
		m.out.begin(row, others)
	})
}

// destinations lists the other members of the row; nil: they are to be multicast to.
func destinations(row member.Row) (list []*batch.Addr, err error) {
	for i, text := range row.Addrs {
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, fmt.Errorf("raw: address of member %d: %w", i, err)
		}
		if i != row.Self {
			to := batch.MakeAddr(addr)
			list = append(list, &to)
		}
	}
	return list, nil
}

// Send sends what src makes, when it is due.
func (m *Medium) Send(ctx context.Context, src *load.Source) error {
	sent := make(chan error, 1)
	if err := m.do(func() { m.out.src, m.sent = src, sent }); err != nil {
		return err
	}
	select {
	case err := <-sent:
		return err
	case <-m.ended:
		return m.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Answer sends a message with those that are due. It is called inside the sink, by the loop.
func (m *Medium) Answer(message []byte) error {
	m.out.answers = append(m.out.answers, append([]byte(nil), message...))
	return nil
}

// Losses returns the packets dropped by full receive buffers.
func (m *Medium) Losses() (l member.Losses) {
	if m.do(func() { l.Dropped = m.conn.Drops() }) != nil {
		l.Dropped = m.dropped
	}
	return l
}

// Close ends the loop and closes the sockets.
func (m *Medium) Close() error {
	_ = m.do(func() { m.stop = true }) // an error says that it has ended already
	<-m.ended
	if errors.Is(m.err, net.ErrClosed) {
		return nil
	}
	return m.err
}

// do has the loop do something between two turns. It returns the loop's error if
// the loop has ended.
func (m *Medium) do(f func()) error {
	done := make(chan struct{})
	select {
	case m.jobs <- func() { f(); close(done) }:
	case <-m.ended:
		return m.err
	}
	_ = m.conn.Wake() // closed: then the loop ends
	select {
	case <-done:
		return nil
	case <-m.ended:
		return m.err
	}
}

// run receives and sends until it is stopped.
func (m *Medium) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(m.ended)
	m.err = m.conn.PrepareThread()
	for m.err == nil {
		select {
		case job := <-m.jobs:
			job()
		default:
		}
		if m.stop {
			break
		}
		m.err = m.turn()
	}
	m.dropped = m.conn.Drops()
	if err := m.conn.Close(); m.err == nil {
		m.err = errors.Join(net.ErrClosed, err)
	}
}

// turn receives what has come, sends what may be sent, and rests if there was
// little to do.
func (m *Medium) turn() error {
	got, drained, err := m.in.receive(m.conn, &m.out)
	if err != nil {
		return err
	}
	sent, err := m.out.send(m.conn)
	if err != nil {
		return err
	}
	if m.sent != nil && m.out.finished() {
		m.sent <- nil
		m.sent, m.out.src = nil, nil
	}
	switch {
	case sent || !drained:
		return nil
	case got >= busy:
		m.conn.Nap(nap)
		return nil
	case got > 0:
		return nil
	}
	return m.rest()
}

// rest sleeps until something comes or the next message is due.
func (m *Medium) rest() error {
	if !m.out.sending() {
		return m.conn.Wait(-1)
	}
	if m.out.closed() {
		if m.out.ask(clock.Now()) {
			return nil
		}
		return m.conn.Wait(stall)
	}
	if m.out.src == nil {
		return nil
	}
	if wait := time.Duration(m.out.src.Due() - clock.Now()); wait > 0 {
		return m.conn.Wait(max(wait, load.Tick))
	}
	return nil
}
