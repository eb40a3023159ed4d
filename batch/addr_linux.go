package batch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// sockaddr has room for the larger of the two families. Both begin with the
// family in host order and the port in network order.
type sockaddr struct {
	raw [unix.SizeofSockaddrInet6]byte
	len uint32 // bytes of raw in use; 0: no address
}

// Offsets in struct sockaddr_in and sockaddr_in6.
const (
	portOffset  = 2
	inet4Offset = 4
	inet6Offset = 8
)

func makeSockaddr(a netip.AddrPort) (s sockaddr) {
	if !a.Addr().IsValid() || a.Port() == 0 {
		return sockaddr{}
	}
	binary.BigEndian.PutUint16(s.raw[portOffset:], a.Port())
	if a.Addr().Is4() {
		binary.NativeEndian.PutUint16(s.raw[:], unix.AF_INET)
		ip := a.Addr().As4()
		copy(s.raw[inet4Offset:], ip[:])
		s.len = unix.SizeofSockaddrInet4
		return s
	}
	binary.NativeEndian.PutUint16(s.raw[:], unix.AF_INET6)
	ip := a.Addr().As16()
	copy(s.raw[inet6Offset:], ip[:])
	s.len = unix.SizeofSockaddrInet6
	return s
}

// addrPort is the inverse of makeSockaddr. What the kernel left unfilled or in
// another family gives the invalid AddrPort.
func (s *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(s.raw[portOffset:])
	family := binary.NativeEndian.Uint16(s.raw[:])
	switch {
	case family == unix.AF_INET && s.len >= unix.SizeofSockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s.raw[inet4Offset:])), port)
	case family == unix.AF_INET6 && s.len >= unix.SizeofSockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s.raw[inet6Offset:])).Unmap(), port)
	}
	return netip.AddrPort{}
}
