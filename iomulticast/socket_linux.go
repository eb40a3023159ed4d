package iomulticast

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// option is one setsockopt.
type option struct {
	name        string
	level, code int
	value       int
}

// openUnicast opens the socket that everything is sent from, bound to the
// interface's address and the configured port, or one of its own.
func openUnicast(cfg Config, n nic) (fd int, addr netip.AddrPort, err error) {
	fd, err = newSocket(n, []option{
		{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, cfg.TTL},
		{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1}, // other members of this host
	})
	if err != nil {
		return -1, addr, err
	}
	from := &unix.IPMreqn{Ifindex: int32(n.Index), Address: n.addr.As4()}
	if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, from); err != nil {
		return -1, addr, closing(fd, fmt.Errorf("IP_MULTICAST_IF: %w", err))
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: n.addr.As4(), Port: cfg.Port}); err != nil {
		return -1, addr, closing(fd, fmt.Errorf("bind %v:%d: %w", n.addr, cfg.Port, err))
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return -1, addr, closing(fd, fmt.Errorf("getsockname: %w", err))
	}
	in, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return -1, addr, closing(fd, fmt.Errorf("getsockname: %T, want an IPv4 address", name))
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
}

// openMulticast opens the socket that hears the group, and only what comes to
// the group on this interface. The filter is in place before the first packet.
func openMulticast(cfg Config, n nic, own netip.AddrPort) (fd int, filter Feature, err error) {
	fd, err = newSocket(n, []option{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},         // other members of this host
		{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0}, // not what other sockets joined
	})
	if err != nil {
		return -1, filter, err
	}
	filter = attachFilter(fd, own)
	group := cfg.Group.Addr().As4()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: group, Port: int(cfg.Group.Port())}); err != nil {
		return -1, filter, closing(fd, fmt.Errorf("bind %v: %w", cfg.Group, err))
	}
	join := &unix.IPMreqn{Multiaddr: group, Ifindex: int32(n.Index), Address: n.addr.As4()}
	if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, join); err != nil {
		return -1, filter, closing(fd, fmt.Errorf("IP_ADD_MEMBERSHIP %v: %w", cfg.Group.Addr(), err))
	}
	return fd, filter, nil
}

// newSocket opens a non-blocking UDP socket with options set.
func newSocket(n nic, options []option) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	options = append(options, option{"SO_RXQ_OVFL", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1})
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.code, o.value); err != nil {
			return -1, closing(fd, fmt.Errorf("%s %d: %w", o.name, o.value, err))
		}
	}
	// Nothing may leave or come by another interface. The addresses see to that
	// already unless routes are unusual, so a system that refuses this (Linux
	// before 5.7 without CAP_NET_RAW) is good enough without.
	_ = unix.BindToDevice(fd, n.Name)
	return fd, nil
}

// closing closes fd on the way out of a failure.
func closing(fd int, err error) error { return errors.Join(err, unix.Close(fd)) }

// growBuffer sets a socket buffer to want bytes of kernel memory, past the
// system's limit if this process may, and returns what it then is. The kernel
// doubles what it is given, and silently cuts it to its limit.
func growBuffer(fd, force, plain, want int) (granted int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, want/2) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, want/2)
	}
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, plain)
	if err != nil {
		return 0
	}
	return granted
}

// sysctl reads a kernel setting, by its path below /proc/sys, for a message.
func sysctl(path string) string {
	b, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		return "not readable"
	}
	return strings.TrimSpace(string(b))
}
