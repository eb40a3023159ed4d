package batch

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socket returns a non-blocking UDP socket on the loopback interface.
func socket(tb testing.TB, ip string, gro bool) (int, Addr) {
	tb.Helper()
	addr := netip.MustParseAddr(ip)
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if addr.Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Skipf("no sockets for %s: %v", ip, err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, sa); err != nil {
		tb.Skipf("no address %s: %v", ip, err)
	}
	set(tb, fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	set(tb, fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<22)
	if gro {
		set(tb, fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		tb.Fatal(err)
	}
	port := 0
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		port = n.Port
	case *unix.SockaddrInet6:
		port = n.Port
	}
	return fd, MakeAddr(netip.AddrPortFrom(addr, uint16(port)))
}

func set(tb testing.TB, fd, level, opt, value int) {
	tb.Helper()
	if err := unix.SetsockoptInt(fd, level, opt, value); err != nil {
		tb.Fatal(err)
	}
}

// room returns n trains with size bytes of room each.
func room(n, size int) []Train {
	t := make([]Train, n)
	for i := range t {
		t[i].Buf = make([]byte, size)
	}
	return t
}

// receive takes want trains, or what comes within a second.
func receive(tb testing.TB, r *Receiver, want int) (got []Train) {
	tb.Helper()
	for deadline := time.Now().Add(time.Second); len(got) < want && time.Now().Before(deadline); {
		t := room(want-len(got), 1<<16)
		n, err := r.Recv(t)
		if err != nil {
			tb.Fatal(err)
		}
		got = append(got, t[:n]...)
	}
	return got
}

// train returns size bytes in packets of segment, all of them different.
func train(to *Addr, size, segment int) Train {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i%251) ^ byte(i/segment)
	}
	return Train{Buf: b, Segment: segment, To: to}
}

// split cuts trains into packets.
func split(trains []Train) (packets []string) {
	for _, t := range trains {
		for b := t.Buf; len(b) > 0; {
			n := min(t.Segment, len(b))
			packets = append(packets, string(b[:n]))
			b = b[n:]
		}
	}
	return packets
}
