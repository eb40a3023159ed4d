//go:build unix

package raw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Plain is a multicast datagram through blocking sockets: one system call to
// send, one to receive, nothing else. It is what one message at a time costs at
// least.
type Plain struct {
	iface string
	group netip.AddrPort
	sink  member.Sink
	row   member.Row

	out     *os.File // of a member that sends
	in      *os.File // of one that does not: a sender would be woken by its own
	closing atomic.Bool
	stopped chan struct{} // closed when nothing reads in any more
}

// NewPlain returns a Plain whose sockets open with the row, on the interface
// with that name.
func NewPlain(iface string, group netip.AddrPort, sink member.Sink) *Plain {
	return &Plain{iface: iface, group: group, sink: sink}
}

// Begin opens the member's socket for the row.
func (p *Plain) Begin(row member.Row) error {
	if err := p.Close(); err != nil {
		return err
	}
	p.row = row
	i, err := net.InterfaceByName(p.iface)
	if err != nil {
		return fmt.Errorf("plain: interface %q: %w", p.iface, err)
	}
	if row.Self < row.Senders {
		p.out, err = p.dial(i)
		return err
	}
	if p.in, err = p.listen(i); err != nil {
		return err
	}
	p.closing.Store(false)
	p.stopped = make(chan struct{})
	go p.receive(p.in, row.Size)
	return nil
}

// dial opens a blocking socket that sends to the group over the interface.
func (p *Plain) dial(i *net.Interface) (*os.File, error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	defer conn.Close()
	if err := ipv4.NewPacketConn(conn).SetMulticastInterface(i); err != nil {
		return nil, fmt.Errorf("plain: send over %s: %w", i.Name, err)
	}
	return blocking(conn)
}

// listen opens a blocking socket that hears the group on the interface.
func (p *Plain) listen(i *net.Interface) (*os.File, error) {
	conn, err := net.ListenMulticastUDP("udp4", i, net.UDPAddrFromAddrPort(p.group))
	if err != nil {
		return nil, fmt.Errorf("plain: hear %v on %s: %w", p.group, i.Name, err)
	}
	defer conn.Close()
	f, err := blocking(conn)
	if err != nil {
		return nil, err
	}
	wake := unix.Timeval{Usec: 100_000} // to look whether we are closing
	if err := unix.SetsockoptTimeval(int(f.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wake); err != nil {
		return nil, errors.Join(os.NewSyscallError("setsockopt", err), f.Close())
	}
	return f, nil
}

// blocking takes the socket away from the runtime's poller. conn is to be closed.
func blocking(conn *net.UDPConn) (*os.File, error) {
	f, err := conn.File()
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), f.Close())
	}
	return f, nil
}

// receive hands up what comes, until closing.
func (p *Plain) receive(f *os.File, size int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.stopped)
	b, fd := make([]byte, size+1), int(f.Fd())
	for !p.closing.Load() {
		n, err := unix.Read(fd, b)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		if m := b[:n]; load.Whole(m) && load.OfRow(m, p.row.Number) {
			p.sink(load.From(m), m)
		}
	}
}

// Send sends what src makes, when it is due.
func (p *Plain) Send(ctx context.Context, src *load.Source) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := clock.PrepareThread(); err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Port: int(p.group.Port()), Addr: p.group.Addr().As4()}
	fd := int(p.out.Fd())
	for src.Due() != clock.Never && ctx.Err() == nil {
		clock.SleepUntil(src.Due())
		b := src.Next()
		if err := unix.Sendto(fd, b, 0, to); err != nil {
			return fmt.Errorf("plain: send %d bytes to %v: %w", len(b), p.group, err)
		}
		p.sink(p.row.Self, b)
	}
	return ctx.Err()
}

// Losses are not known.
func (p *Plain) Losses() member.Losses { return member.Losses{} }

// Close closes the sockets.
func (p *Plain) Close() (err error) {
	if p.in != nil {
		p.closing.Store(true)
		<-p.stopped
		err = p.in.Close()
	}
	if p.out != nil {
		err = errors.Join(err, p.out.Close())
	}
	p.in, p.out = nil, nil
	return err
}
