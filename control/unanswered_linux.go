package control

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// boundUnanswered has the kernel end a connection where what was sent has not been
// acknowledged for d.
func boundUnanswered(c *net.TCPConn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
