package engine

import (
	"net"
	"testing"
	"unsafe"

	"cohort/flowctl"

	"golang.org/x/sys/unix"
)

// TestChargeHoldsOnThisKernel: what windows are counted by is never less than what the kernel
// that runs the test counts for a datagram, of any size.
func TestChargeHoldsOnThisKernel(t *testing.T) {
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	from, err := net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	sizes := []int{0, 1, 1472, 8972, 65_472, 65_507}
	for piece := 512; piece <= 32<<10; piece *= 2 { // around what fits a piece of the kernel's memory
		sizes = append(sizes, piece-400, piece-300, piece, piece+100)
	}
	buf := make([]byte, 65_507)
	for _, n := range sizes {
		if _, err := from.Write(buf[:n]); err != nil {
			t.Fatalf("send %d bytes: %v", n, err)
		}
		took, err := received(to)
		if err != nil {
			t.Skipf("the kernel does not tell what its sockets hold (SO_MEMINFO): %v", err)
		}
		if charge := flowctl.Charge(n, true); took == 0 || charge < took {
			t.Errorf("%d bytes: charged %d, the kernel takes %d", n, charge, took)
		}
		if _, err := to.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
}

// received returns the kernel memory that what waits in a socket takes, bytes.
func received(c *net.UDPConn) (took int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info [9]uint32 // struct sk_meminfo: what is received comes first
	size := uint32(unsafe.Sizeof(info))
	if e := raw.Control(func(fd uintptr) {
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if e != 0 {
			err = e
		}
	}); e != nil {
		return 0, e
	}
	return int(info[0]), err
}
