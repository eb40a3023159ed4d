package iomulticast

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"cohort/batch"

	"golang.org/x/sys/unix"
)

// Messages per system call. A call of 64 trains moves 4 MiB and takes about a
// millisecond; more would only keep the loop from its other work.
const maxMessages = 64

// socketLink is a node's sockets on Linux, driven by batched system calls.
type socketLink struct {
	multicast, unicast int // file descriptors
	addr               netip.AddrPort
	sender             *batch.Sender
	fromGroup, fromAll *batch.Receiver
	waiter             *waiter
	features           atomic.Pointer[Features]
	drops              uint64
	closed             bool
}

// openLink opens both sockets, sets their options, probes and tests.
func openLink(cfg Config, n nic) (_ link, err error) {
	l := &socketLink{multicast: -1, unicast: -1}
	defer func() {
		if err != nil {
			l.closeSockets()
		}
	}()
	f := Features{Interface: n.Name, MTU: n.MTU, Segment: cfg.segment(n.MTU), Multicast: Feature{On: true}, RecvBufferAsked: cfg.RecvBuffer}
	if l.unicast, l.addr, err = openUnicast(cfg, n); err != nil {
		return nil, err
	}
	if l.multicast, f.Filter, err = openMulticast(cfg, n, l.addr); err != nil {
		return nil, err
	}
	f.RecvBuffer, f.RecvBufferRefused = l.recvBuffers(cfg.RecvBuffer)
	f.SendBuffer = growBuffer(l.unicast, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, cfg.SendBuffer)
	f.GSO, f.GRO = l.probeTrains(cfg, n)
	l.sender = batch.NewSender(l.unicast, maxMessages, f.GSO.On)
	l.fromGroup = batch.NewReceiver(l.multicast, maxMessages, f.GRO.On)
	l.fromAll = batch.NewReceiver(l.unicast, maxMessages, f.GRO.On)
	l.features.Store(&f)
	l.waiter, err = newWaiter(l.multicast, l.unicast)
	return l, err
}

// recvBuffers asks for the receive buffers and returns the smaller of what was
// granted, with what was refused.
func (l *socketLink) recvBuffers(want int) (granted int, refused string) {
	granted = min(
		growBuffer(l.multicast, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, want),
		growBuffer(l.unicast, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, want),
	)
	if granted < want {
		refused = fmt.Sprintf("asked %d bytes, granted %d: net.core.rmem_max is %s, want %d (or CAP_NET_ADMIN)",
			want, granted, sysctl("net/core/rmem_max"), want/2)
	}
	return granted, refused
}

func (l *socketLink) Addr() netip.AddrPort { return l.addr }

func (l *socketLink) Features() Features { return *l.features.Load() }

func (l *socketLink) Send(trains []batch.Train) (int, error) {
	if l.closed {
		return 0, net.ErrClosed
	}
	whole := l.sender.GSO()
	n, err := l.sender.Send(trains)
	if whole && !l.sender.GSO() {
		l.trainsOff("refused while running: " + l.sender.GSOError().Error())
	}
	return n, err
}

// trainsOff records that trains are no longer sent whole.
func (l *socketLink) trainsOff(why string) {
	f := l.Features()
	f.GSO = Feature{Why: why}
	l.features.Store(&f)
}

func (l *socketLink) RecvMulticast(trains []batch.Train) (int, error) {
	if l.closed {
		return 0, net.ErrClosed
	}
	return l.fromGroup.Recv(trains)
}

func (l *socketLink) RecvUnicast(trains []batch.Train) (int, error) {
	if l.closed {
		return 0, net.ErrClosed
	}
	return l.fromAll.Recv(trains)
}

// Drops takes the own multicast that the filter refused from what the kernel
// counted, because the kernel counts both alike. Own packets are counted when
// they are sent, which is never after the kernel counts them for a packet that
// Recv has returned; so the difference is a lower bound, and the largest one
// seen is the best.
func (l *socketLink) Drops() uint64 {
	counted, own := l.fromGroup.Drops(), uint64(0)
	if f := l.features.Load(); f.Filter.On {
		// A socket without UDP_GRO is given, and refuses, each packet of a train.
		messages, packets := l.sender.Multicast()
		own = messages
		if !f.GRO.On {
			own = packets
		}
	}
	if counted > own {
		l.drops = max(l.drops, counted-own)
	}
	return l.drops + l.fromAll.Drops()
}

func (l *socketLink) Wait(timeout time.Duration) error {
	if l.closed {
		return net.ErrClosed
	}
	return l.waiter.wait(timeout)
}

func (l *socketLink) WaitWritable(timeout time.Duration) error {
	if l.closed {
		return net.ErrClosed
	}
	return l.waiter.waitWritable(l.unicast, timeout)
}

func (l *socketLink) Wake() error { return l.waiter.wake() }

func (l *socketLink) Nap(d time.Duration) { l.waiter.nap(d) }

// PrepareThread asks for timers without slack: the default lets a sleep end
// 50 µs late, as long again as a nap.
func (l *socketLink) PrepareThread() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("iomulticast: set timer slack to 1 ns: %w", err)
	}
	return nil
}

func (l *socketLink) Close() error {
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	return errors.Join(l.waiter.close(), l.closeSockets())
}

// closeSockets closes what was opened; closing the multicast socket leaves the group.
func (l *socketLink) closeSockets() error {
	var errs []error
	for _, fd := range []int{l.multicast, l.unicast} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
