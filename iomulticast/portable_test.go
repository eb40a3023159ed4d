package iomulticast

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// TestNoBuffers: a full send buffer is one to wait for, by whatever number a system names it.
func TestNoBuffers(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{
		syscall.ENOBUFS: true, 10055: true, syscall.EACCES: false,
	} {
		if err := (&net.OpError{Op: "write", Err: os.NewSyscallError("sendto", errno)}); noBuffers(err) != want {
			t.Errorf("%v (%d): %v, want %v", err, int(errno), !want, want)
		}
	}
}
