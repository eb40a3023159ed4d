package batch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sender sends trains through one UDP socket. It belongs to one goroutine at
// a time, but for Multicast.
type Sender struct {
	fd     int
	gsoErr error // why trains are not sent as trains; nil while they are
	cut    cut
	call   func(fd int, msgs []unix.Mmsghdr) (int, unix.Errno) // sendmmsg, but for tests

	multicastMessages, multicastPackets atomic.Uint64

	// One entry per message of a sendmmsg, all of the same length. They point
	// at each other and, for the length of a call, at the caller's buffers.
	msgs []unix.Mmsghdr
	iovs []unix.Iovec
	ctls []segmentCtl
	plan []planned
}

// position is a place in the list of trains: byte off of train number train.
type position struct{ train, off int }

// planned is what the Sender notes of a message until it has gone.
type planned struct {
	train int      // that it is of
	end   position // where the next one begins
}

// cut remembers a train of which only the first off bytes have gone.
type cut struct {
	base *byte
	len  int
	off  int
}

// segmentCtl is the control message that makes a message a train.
type segmentCtl struct {
	hdr  unix.Cmsghdr
	size uint16
	_    [unix.SizeofPtr - 2]byte // control messages are padded to a word
}

var errNotAsked = errors.New("not asked for")

// NewSender returns a Sender for a non-blocking UDP socket, which hands the
// kernel up to max messages per call. With gso a train goes as one message (or
// as few as the limits allow), otherwise each packet is a message of its own.
// The Sender does not own the socket.
func NewSender(fd, max int, gso bool) *Sender {
	s := &Sender{
		fd:   fd,
		call: sendmmsg,
		msgs: make([]unix.Mmsghdr, max),
		iovs: make([]unix.Iovec, max),
		ctls: make([]segmentCtl, max),
		plan: make([]planned, max),
	}
	if !gso {
		s.gsoErr = errNotAsked
	}
	for i := range s.msgs {
		c := &s.ctls[i]
		c.hdr.Level, c.hdr.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		c.hdr.SetLen(unix.CmsgLen(2))
		s.msgs[i].Hdr.Iov = &s.iovs[i]
		s.msgs[i].Hdr.SetIovlen(1)
	}
	return s
}

// GSO tells whether trains go to the kernel whole. It turns false for good when
// the kernel or the device refuses one.
func (s *Sender) GSO() bool { return s.gsoErr == nil }

// GSOError tells why trains do not go whole: nil while they do.
func (s *Sender) GSOError() error { return s.gsoErr }

// Multicast returns how much has gone to multicast addresses since the start, and is on
// its way there: messages as the kernel counts them (a train is one), and packets. It may
// be called from any goroutine.
func (s *Sender) Multicast() (messages, packets uint64) {
	return s.multicastMessages.Load(), s.multicastPackets.Load()
}

// Send sends trains in order without blocking, and returns how many have gone
// whole. Buffers are borrowed for the call.
//
// When the socket's buffer is full, the error is ErrAgain: the Sender keeps how
// much of trains[sent] has gone, and sends only the rest when the next call
// begins with that same Buf; a call that begins with another one gives the rest
// up. A train that cannot be described to the kernel gives ErrTrain, before any
// of it has gone; other errors are the system's. In both cases the train at
// fault is trains[sent], to be left out: what is left of it is given up, and
// sending it again sends all of it. An empty train counts as sent.
func (s *Sender) Send(trains []Train) (sent int, err error) {
	at := position{off: s.resume(trains)}
	for {
		n, next, err := s.fill(trains, at)
		if n == 0 {
			return next.train, err
		}
		s.count(trains, 0, n, 1) // before the kernel does: another thread may look meanwhile
		done, errno := s.call(s.fd, s.msgs[:n])
		runtime.KeepAlive(trains)
		s.count(trains, max(done, 0), n, -1)
		if done > 0 {
			at = s.plan[done-1].end
			continue
		}
		if s.refusesTrain(errno) {
			continue
		}
		if first := s.plan[0].train; first != at.train { // empty trains are before it
			at = position{train: first}
		}
		if errno == unix.EAGAIN {
			s.keep(trains, at)
			return at.train, ErrAgain
		}
		t := &trains[at.train]
		return at.train, fmt.Errorf("batch: send %d bytes in packets of %d to %v: %w",
			len(t.Buf)-at.off, t.Segment, t.To.addrPort, os.NewSyscallError("sendmmsg", errno))
	}
}

// refusesTrain tells whether the first message failed because it was a train,
// and if so sends none as a train from now on. EIO comes from a device without
// checksum offload; EINVAL and EMSGSIZE from limits below those assumed here.
func (s *Sender) refusesTrain(errno unix.Errno) bool {
	if s.gsoErr != nil || s.msgs[0].Hdr.Control == nil {
		return false
	}
	switch errno {
	case unix.EIO, unix.EINVAL, unix.EMSGSIZE:
		s.gsoErr = os.NewSyscallError("sendmmsg", errno)
		return true
	}
	return false
}

// fill describes as many messages as fit, from a position on. It returns their
// number, and the position after them. An error is that of the first train that
// could not be described; the messages before it are good.
func (s *Sender) fill(trains []Train, at position) (n int, next position, err error) {
	for n < len(s.msgs) && at.train < len(trains) {
		t := &trains[at.train]
		if at.off >= len(t.Buf) {
			at = position{train: at.train + 1}
			continue
		}
		if err := check(t); err != nil {
			return n, at, err
		}
		size := min(s.messageSize(t), len(t.Buf)-at.off)
		s.describe(n, t, t.Buf[at.off:at.off+size])
		s.plan[n].train = at.train
		at.off += size
		if at.off == len(t.Buf) {
			at = position{train: at.train + 1}
		}
		s.plan[n].end = at
		n++
	}
	return n, at, nil
}

// messageSize returns the bytes of one message of the train: whole packets.
func (s *Sender) messageSize(t *Train) int {
	if s.gsoErr != nil {
		return t.Segment
	}
	return min(MaxSegments, MaxPayload/t.Segment) * t.Segment
}

// describe makes entry i the message that carries b.
func (s *Sender) describe(i int, t *Train, b []byte) {
	h := &s.msgs[i].Hdr
	h.Name, h.Namelen = &t.To.kernel.raw[0], t.To.kernel.len
	s.iovs[i].Base = &b[0]
	s.iovs[i].SetLen(len(b))
	if len(b) <= t.Segment {
		h.Control = nil
		h.SetControllen(0)
		return
	}
	s.ctls[i].size = uint16(t.Segment)
	h.Control = (*byte)(unsafe.Pointer(&s.ctls[i]))
	h.SetControllen(unix.CmsgSpace(2))
}

// check returns ErrTrain, with the value at fault, for a train that cannot be sent.
func check(t *Train) error {
	switch {
	case t.Segment <= 0 || t.Segment > MaxPayload:
		return fmt.Errorf("%w: packets of %d bytes, want 1 to %d", ErrTrain, t.Segment, MaxPayload)
	case t.To == nil:
		return fmt.Errorf("%w: no destination", ErrTrain)
	case t.To.kernel.len == 0:
		return fmt.Errorf("%w: destination %v, want an IP address and a port", ErrTrain, t.To.addrPort)
	}
	return nil
}

// count adds the messages from one to another to the counters, or takes them off with a
// sign of -1.
func (s *Sender) count(trains []Train, from, to, sign int) {
	messages, packets := 0, 0
	for i := from; i < to; i++ {
		t := &trains[s.plan[i].train]
		if t.To.addrPort.Addr().IsMulticast() {
			messages += sign
			packets += sign * ((int(s.iovs[i].Len) + t.Segment - 1) / t.Segment)
		}
	}
	s.multicastMessages.Add(uint64(messages))
	s.multicastPackets.Add(uint64(packets))
}

// keep notes that the train at a position has gone only up to there.
func (s *Sender) keep(trains []Train, at position) {
	if at.off == 0 {
		return
	}
	b := trains[at.train].Buf
	s.cut = cut{base: &b[0], len: len(b), off: at.off}
}

// resume returns where the first train goes on.
func (s *Sender) resume(trains []Train) int {
	c := s.cut
	s.cut = cut{}
	if c.base == nil || len(trains) == 0 || len(trains[0].Buf) != c.len || &trains[0].Buf[0] != c.base {
		return 0
	}
	return c.off
}

// sendmmsg sends what the socket takes at once. The call does not block, so it
// may keep the scheduler's P.
func sendmmsg(fd int, msgs []unix.Mmsghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
