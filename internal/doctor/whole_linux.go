package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// canSize tells whether there can be a whole.
const canSize = true

// whole is a socket whose packets carry "do not fragment", and that takes no
// notice of what routers have said before about how large they may be.
type whole struct{ fd int }

func openWhole(iface string, from netip.Addr) (*whole, error) {
	nic, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("doctor: socket: %w", err)
	}
	_ = unix.BindToDevice(fd, iface) // as iomulticast does
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(nic.Index), Address: from.As4()}),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}),
	)
	if err != nil {
		return nil, fmt.Errorf("doctor: socket for packets that are not fragmented: %w", errors.Join(err, unix.Close(fd)))
	}
	return &whole{fd}, nil
}

func (w *whole) send(p []byte, to netip.AddrPort) error {
	return unix.Sendto(w.fd, p, 0, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}

func (w *whole) close() { _ = unix.Close(w.fd) }

// refused tells whether the system would not send a packet: it is too large for
// the interface, a filter forbids it, or something further on has said so.
func refused(err error) bool {
	for _, e := range []error{unix.EMSGSIZE, unix.EPERM, unix.EACCES, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ECONNREFUSED, unix.ENOBUFS, unix.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
