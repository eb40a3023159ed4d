package control

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnansweredLettersEndTheConnection, on both sides, as the kernel is told to.
func TestUnansweredLettersEndTheConnection(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for _, n := range []*node{a, b} {
		n.mu.Lock()
		for p := range n.links {
			raw, err := p.raw.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = raw.Control(func(fd uintptr) {
				if ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || ms != 4000 {
					t.Errorf("node %d: %d ms, error %v; want 4000", n.id, ms, err)
				}
			})
		}
		n.mu.Unlock()
	}
}
