//go:build unix

package member

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pollable returns a reader from which reading keeps none of Go's processors, if in is a file
// of which there can be one. A goroutine that has handed on what it has read, and then blocks
// in a system call, leaves who is to have it waiting for up to 10 ms where the loop of a node
// has the other processor.
func pollable(in io.Reader) io.Reader {
	f, ok := in.(*os.File)
	if !ok {
		return in
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return in
	}
	polled := in
	err = conn.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			return // it is one already
		}
		own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) // f may be closed, or forgotten
		if err != nil {
			return
		}
		if unix.SetNonblock(own, true) != nil {
			_ = unix.Close(own)
			return
		}
		polled = os.NewFile(uintptr(own), f.Name())
	})
	if err != nil {
		return in
	}
	return polled
}
