package batch

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receiver takes trains from one UDP socket. It belongs to one goroutine.
type Receiver struct {
	fd        int
	gro       bool
	truncated uint64
	drops     uint64
	ovfl      uint32 // the last value of the kernel's counter

	// One entry per message of a recvmmsg, all of the same length.
	msgs  []unix.Mmsghdr
	iovs  []unix.Iovec
	froms []sockaddr
	ctls  []ctl
}

// ctl has room for the two control messages that are asked for, SO_RXQ_OVFL and
// UDP_GRO, with four bytes each, and for a third.
type ctl [9]uint64

// NewReceiver returns a Receiver for a non-blocking UDP socket, which takes up
// to max messages per call. With gro the socket has UDP_GRO set and hands over
// whole trains. The Receiver does not own the socket.
func NewReceiver(fd, max int, gro bool) *Receiver {
	r := &Receiver{
		fd:    fd,
		gro:   gro,
		msgs:  make([]unix.Mmsghdr, max),
		iovs:  make([]unix.Iovec, max),
		froms: make([]sockaddr, max),
		ctls:  make([]ctl, max),
	}
	for i := range r.msgs {
		h := &r.msgs[i].Hdr
		h.Name = &r.froms[i].raw[0]
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&r.ctls[i]))
	}
	return r
}

// Recv takes what has come, up to len(trains) trains, without blocking. It fills
// the Buf of each up to its length, cuts Buf to what came, and sets Segment and
// From. It returns how many were filled, 0 and no error if nothing was there.
//
// A filled train whose Buf is empty carries nothing: an empty datagram, or one
// that did not fit and was dropped (see Truncated). Entries keep their places,
// so that the caller's own bookkeeping by index stays true.
func (r *Receiver) Recv(trains []Train) (n int, err error) {
	n = min(len(trains), len(r.msgs))
	if n == 0 {
		return 0, nil
	}
	for i := range n {
		r.describe(i, trains[i].Buf)
	}
	n, errno := recvmmsg(r.fd, r.msgs[:n])
	runtime.KeepAlive(trains)
	if errno == unix.EAGAIN {
		return 0, nil
	}
	if errno != 0 {
		return 0, os.NewSyscallError("recvmmsg", errno)
	}
	for i := range n {
		r.take(i, &trains[i])
	}
	return n, nil
}

// Drops returns how many packets (trains count as one) the kernel dropped at
// this socket, as far as the packets received since tell: the receive buffer was
// full, the checksum was wrong, or the socket's filter refused them.
func (r *Receiver) Drops() uint64 { return r.drops }

// Truncated returns how many datagrams were dropped because they were longer
// than the buffer offered to them.
func (r *Receiver) Truncated() uint64 { return r.truncated }

// describe offers buf to message i, and resets what the kernel overwrites.
func (r *Receiver) describe(i int, buf []byte) {
	r.iovs[i].Base = unsafe.SliceData(buf)
	r.iovs[i].SetLen(len(buf))
	h := &r.msgs[i].Hdr
	h.Namelen = uint32(len(r.froms[i].raw))
	h.SetControllen(int(unsafe.Sizeof(ctl{})))
	h.Flags = 0
}

// take moves message i into t.
func (r *Receiver) take(i int, t *Train) {
	m := &r.msgs[i]
	r.froms[i].len = m.Hdr.Namelen
	t.From = r.froms[i].addrPort()
	segment := r.control(i)
	size := int(m.Len)
	if m.Hdr.Flags&unix.MSG_TRUNC != 0 {
		r.truncated++
		size = 0
	}
	if segment <= 0 || segment > size {
		segment = size
	}
	t.Buf, t.Segment = t.Buf[:size], segment
}

// control reads the control messages of message i: it counts drops, and returns
// the size of the train's packets, 0 if the kernel gave none.
func (r *Receiver) control(i int) (segment int) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&r.ctls[i])), int(r.msgs[i].Hdr.Controllen))
	for len(b) >= unix.CmsgLen(4) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		value := *(*uint32)(unsafe.Pointer(&b[unix.CmsgLen(0)]))
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL:
			r.drops += uint64(value - r.ovfl) // in 32 bits: the kernel's counter wraps
			r.ovfl = value
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && r.gro:
			segment = int(value)
		}
		b = b[min(unix.CmsgSpace(int(h.Len)-unix.CmsgLen(0)), len(b)):]
	}
	return segment
}

// recvmmsg takes what is there. The call does not block, so it may keep the
// scheduler's P.
func recvmmsg(fd int, msgs []unix.Mmsghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
