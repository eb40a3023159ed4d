package iomulticast

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"cohort/batch"

	"golang.org/x/sys/unix"
)

// selfTestTime bounds the self-test. A train comes back within microseconds; a
// busy machine may take its time to run us.
const selfTestTime = 50 * time.Millisecond

// probeTrains finds out whether trains can be sent and received whole, and
// leaves UDP_GRO on if so.
func (l *socketLink) probeTrains(cfg Config, n nic) (gso, gro Feature) {
	if cfg.Trains == Off {
		off := Feature{Why: "switched off by configuration"}
		return off, off
	}
	gso, gro = probeGSO(l.unicast), l.probeGRO()
	segment := cfg.segment(n.MTU)
	if segment > n.MTU-udpOverhead {
		gso = Feature{Why: fmt.Sprintf("packets of %d bytes do not fit MTU %d, which leaves %d", segment, n.MTU, n.MTU-udpOverhead)}
	}
	if !gso.On {
		return gso, gro
	}
	if err := testTrains(l.unicast, l.addr, segment, gro.On); err != nil {
		l.setGRO(0)
		off := Feature{Why: "self-test: " + err.Error()}
		return off, off
	}
	return gso, gro
}

func probeGSO(fd int) Feature {
	if _, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT); err != nil {
		return Feature{Why: "getsockopt UDP_SEGMENT: " + err.Error()}
	}
	return Feature{On: true}
}

func (l *socketLink) probeGRO() Feature {
	if err := l.setGRO(1); err != nil {
		return Feature{Why: "setsockopt UDP_GRO: " + err.Error()}
	}
	return Feature{On: true}
}

func (l *socketLink) setGRO(on int) error {
	return errors.Join(
		unix.SetsockoptInt(l.multicast, unix.IPPROTO_UDP, unix.UDP_GRO, on),
		unix.SetsockoptInt(l.unicast, unix.IPPROTO_UDP, unix.UDP_GRO, on),
	)
}

// testTrains sends a train from the socket to itself and compares what comes:
// the bytes and the size of the packets.
func testTrains(fd int, self netip.AddrPort, segment int, gro bool) error {
	to := batch.MakeAddr(self)
	segment = min(segment, batch.MaxPayload/4) // three packets and a bit fit
	sent := make([]byte, 3*segment+segment/3)
	_, _ = rand.Read(sent) // never fails
	s := batch.NewSender(fd, 1, true)
	if _, err := s.Send([]batch.Train{{Buf: sent, Segment: segment, To: &to}}); err != nil {
		return err
	}
	if !s.GSO() {
		return s.GSOError()
	}
	got, err := collect(fd, self, len(sent), gro, segment)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return errors.New("the train came back changed")
	}
	return nil
}

// collect receives size bytes that the socket sent to itself. What others send
// meanwhile is lost, which their protocol repairs.
func collect(fd int, self netip.AddrPort, size int, gro bool, segment int) (got []byte, err error) {
	r := batch.NewReceiver(fd, 1, gro)
	buf := make([]byte, batch.MaxPayload)
	for deadline := time.Now().Add(selfTestTime); len(got) < size; {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("%d of %d bytes came back within %v", len(got), size, selfTestTime)
		}
		t := []batch.Train{{Buf: buf}}
		n, err := r.Recv(t)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(1, int(left.Milliseconds())))
			continue
		}
		if t[0].From != self {
			continue
		}
		if t[0].Segment != min(segment, size-len(got)) {
			return nil, fmt.Errorf("packets of %d bytes came back, want %d", t[0].Segment, segment)
		}
		got = append(got, t[0].Buf...)
	}
	return got, nil
}
