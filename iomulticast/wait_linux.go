package iomulticast

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waiter lets one thread sleep until a socket is readable or someone wakes it, and
// another until one is writable.
type waiter struct {
	polled   [3]unix.PollFd // multicast, unicast, event
	oneShot  [1]unix.PollFd
	timeout  unix.Timespec // of the present sleep; ppoll overwrites it
	patience unix.Timespec // of waitWritable's
	buf      [8]byte

	// mu lets Wake write to event only while it is ours: once closed, its number
	// may be another file's.
	mu     sync.RWMutex
	event  int
	closed bool
}

const eventIndex = 2

// wakeUp is what is written to an eventfd to add 1 to it.
var wakeUp = binary.NativeEndian.AppendUint64(nil, 1)

func newWaiter(multicast, unicast int) (*waiter, error) {
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	w := &waiter{event: event}
	for i, fd := range []int{multicast, unicast, event} {
		w.polled[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	return w, nil
}

func (w *waiter) wait(timeout time.Duration) error {
	if err := poll(w.polled[:], &w.timeout, timeout); err != nil {
		return err
	}
	if w.polled[eventIndex].Revents != 0 {
		_, err := unix.Read(w.event, w.buf[:])
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return fmt.Errorf("iomulticast: read eventfd: %w", err)
		}
	}
	return nil
}

func (w *waiter) waitWritable(fd int, timeout time.Duration) error {
	w.oneShot[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
	return poll(w.oneShot[:], &w.patience, timeout)
}

// poll blocks, so it goes through Syscall6, which gives the scheduler's P away:
// a RawSyscall here would keep the garbage collector from stopping the world.
func poll(fds []unix.PollFd, at *unix.Timespec, timeout time.Duration) error {
	var until unsafe.Pointer // nil: for ever
	if timeout >= 0 {
		*at = unix.NsecToTimespec(int64(timeout))
		until = unsafe.Pointer(at)
	}
	for i := range fds {
		fds[i].Revents = 0 // the kernel leaves them when a signal interrupts it
	}
	_, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(until), 0, 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return fmt.Errorf("iomulticast: ppoll: %w", errno)
	}
	return nil
}

func (w *waiter) wake() error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return net.ErrClosed
	}
	for {
		_, err := unix.Write(w.event, wakeUp)
		switch err {
		case nil, unix.EAGAIN: // EAGAIN: the counter is full, so a wake-up is pending
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("iomulticast: write eventfd: %w", err)
		}
	}
}

func (w *waiter) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return unix.Close(w.event)
}

// nap sleeps in the kernel. time.Sleep would take some 400 µs for the shortest
// nap, as it goes through the scheduler. A signal may end it early.
func (w *waiter) nap(d time.Duration) {
	w.timeout = unix.NsecToTimespec(int64(d))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &w.timeout, nil)
}
