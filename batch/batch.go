// Package batch moves trains of packets through a socket with as few system
// calls as the kernel allows, and without allocating.
//
// A train is a run of equal-sized packets back to back in one buffer. On Linux
// a Sender hands a whole train to the kernel as one message (UDP_SEGMENT) and
// several trains in one sendmmsg; a Receiver takes several in one recvmmsg, each
// still whole if the kernel kept it so (UDP_GRO). Headers and control messages
// are built once and only patched. On other systems only the types exist: the
// portable path needs goroutines of its own and lives in package iomulticast.
package batch

import (
	"errors"
	"net/netip"
)

const (
	// MaxSegments is the most packets that go to the kernel as one message:
	// UDP_MAX_SEGMENTS, which is 64 up to Linux 6.8 and 128 since. 64 packets
	// of 1 KiB fill a message already, so the old limit costs nothing.
	MaxSegments = 64

	// MaxPayload is the most bytes of payload in one message, be it a datagram
	// or a train: the IPv4 total length field ends at 65535, of which 20 are
	// the IP header and 8 the UDP header. With IPv6 20 bytes more would fit.
	MaxPayload = 65535 - 20 - 8
)

var (
	// ErrAgain says that the socket's send buffer is full: wait until it is
	// writable, and send the rest.
	ErrAgain = errors.New("batch: send buffer full")

	// ErrTrain says that a train cannot be sent as it is described.
	ErrTrain = errors.New("batch: impossible train")
)

// Train is a run of packets back to back in Buf, each Segment bytes long, the
// last one possibly shorter.
type Train struct {
	Buf     []byte
	Segment int
	To      *Addr          // sending: where to; borrowed for the call
	From    netip.AddrPort // receiving: where from
}

// Packets returns how many packets the train holds. An empty Buf holds none.
func (t *Train) Packets() int {
	if len(t.Buf) == 0 || t.Segment <= 0 {
		return 0
	}
	return (len(t.Buf) + t.Segment - 1) / t.Segment
}

// Addr is a destination with the kernel's form of it prebuilt. Build it once
// and point at it from every train. The zero Addr is no destination.
type Addr struct {
	addrPort netip.AddrPort
	kernel   sockaddr
}

// MakeAddr prebuilds a destination. An invalid address or port 0 gives an Addr
// that Send refuses. Zones of IPv6 addresses are not carried over.
func MakeAddr(a netip.AddrPort) Addr {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	return Addr{addrPort: a, kernel: makeSockaddr(a)}
}

// AddrPort returns the address that the Addr was made from.
func (a *Addr) AddrPort() netip.AddrPort { return a.addrPort }
