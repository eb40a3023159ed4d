package batch

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// fakeSocket stands in for sendmmsg: it takes as many messages as the script
// says, and keeps the packets.
type fakeSocket struct {
	script  func() (most int, refuse unix.Errno)
	noGSO   unix.Errno // what a message that is a train gets
	packets []string
	trains  int
}

func (f *fakeSocket) send(_ int, msgs []unix.Mmsghdr) (int, unix.Errno) {
	most, errno := f.script()
	if errno != 0 {
		return 0, errno
	}
	for i := range min(most, len(msgs)) {
		h := &msgs[i].Hdr
		b := unsafe.Slice(h.Iov.Base, int(h.Iov.Len))
		segment := len(b)
		if h.Control != nil {
			if f.noGSO != 0 {
				if i > 0 {
					return i, 0
				}
				return 0, f.noGSO
			}
			segment = int((*segmentCtl)(unsafe.Pointer(h.Control)).size)
			f.trains++
		}
		f.packets = append(f.packets, split([]Train{{Buf: bytes.Clone(b), Segment: segment}})...)
	}
	return min(most, len(msgs)), 0
}

func newFake(max int, gso bool, f *fakeSocket) *Sender {
	s := NewSender(-1, max, gso)
	s.call = f.send
	return s
}

var anywhere = MakeAddr(netip.MustParseAddrPort("239.0.0.1:7"))

// Whatever the socket takes at a time, and however often it is full or fails,
// every packet goes once and in order, save the rest of a train that failed. All
// trains lie in the same memory, as they may when buffers are reused.
func TestNoPacketTwiceNorSkipped(t *testing.T) {
	memory := train(&anywhere, 1<<16, 777).Buf
	rapid.Check(t, func(t *rapid.T) {
		var trains []Train
		for range rapid.IntRange(1, 5).Draw(t, "trains") {
			segment := rapid.IntRange(1, 3000).Draw(t, "segment")
			size := rapid.IntRange(0, min(1<<16, 200*segment)).Draw(t, "size")
			trains = append(trains, Train{Buf: memory[:size], Segment: segment, To: &anywhere})
		}
		f := &fakeSocket{script: flaky(rapid.Uint64().Draw(t, "seed"))}
		if rapid.Bool().Draw(t, "refuses trains") {
			f.noGSO = rapid.SampledFrom([]unix.Errno{unix.EIO, unix.EINVAL, unix.EMSGSIZE}).Draw(t, "errno")
		}
		s := newFake(rapid.IntRange(1, 9).Draw(t, "max"), rapid.Bool().Draw(t, "gso"), f)
		var want []string
		for rest := trains; len(rest) > 0; {
			n, err := s.Send(rest)
			want = append(want, split(rest[:n])...)
			rest = rest[n:]
			switch {
			case err == nil && len(rest) == 0, errors.Is(err, ErrAgain) && len(rest) > 0:
			case errors.Is(err, unix.ENETUNREACH) && len(rest[0].Buf) > 0:
				gone := len(f.packets) - len(want)
				want = append(want, split(rest[:1])[:gone]...)
				rest = rest[1:]
			default:
				t.Fatalf("%d trains left, error %v", len(rest), err)
			}
		}
		if !slices.Equal(f.packets, want) {
			t.Fatalf("%d packets went, want %d, or in another order", len(f.packets), len(want))
		}
		if _, n := s.Multicast(); n != uint64(len(want)) {
			t.Fatalf("counted %d packets, want %d", n, len(want))
		}
	})
}

// flaky is a socket that takes a few messages at a time, is often full and
// sometimes fails.
func flaky(seed uint64) func() (int, unix.Errno) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	return func() (int, unix.Errno) {
		switch rnd.IntN(8) {
		case 0, 1, 2:
			return 0, unix.EAGAIN
		case 3:
			return 0, unix.ENETUNREACH
		}
		return 1 + rnd.IntN(8), 0
	}
}

func TestRefusedTrainSwitchesTrainsOff(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EIO, unix.EINVAL, unix.EMSGSIZE} {
		f := &fakeSocket{noGSO: errno, script: func() (int, unix.Errno) { return 99, 0 }}
		s := newFake(8, true, f)
		trains := []Train{train(&anywhere, 100, 100), train(&anywhere, 1000, 100)}
		if n, err := s.Send(trains); n != 2 || err != nil {
			t.Fatalf("%v: sent %d: %v", errno, n, err)
		}
		if s.GSO() || !errors.Is(s.GSOError(), errno) {
			t.Errorf("GSO %v with error %v, want off with %v", s.GSO(), s.GSOError(), errno)
		}
		if !slices.Equal(f.packets, split(trains)) {
			t.Errorf("%d packets went, want 11", len(f.packets))
		}
	}
}

func TestOtherErrorsDoNotSwitchTrainsOff(t *testing.T) {
	f := &fakeSocket{script: func() (int, unix.Errno) { return 0, unix.ENETUNREACH }}
	s := newFake(8, true, f)
	if n, err := s.Send([]Train{train(&anywhere, 1000, 100)}); n != 0 || !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("sent %d: %v", n, err)
	}
	if !s.GSO() {
		t.Error("trains are off")
	}
}

// A caller that gives a half-sent train up must not lose the head of the next.
func TestAnotherTrainStartsAtItsHead(t *testing.T) {
	left := 3
	f := &fakeSocket{script: func() (int, unix.Errno) {
		if left == 0 {
			return 0, unix.EAGAIN
		}
		left--
		return 1, 0
	}}
	s := newFake(4, false, f)
	first, second := train(&anywhere, 1000, 100), train(&anywhere, 1000, 100)
	if n, err := s.Send([]Train{first}); n != 0 || err != ErrAgain {
		t.Fatalf("sent %d: %v", n, err)
	}
	left = 99
	if n, err := s.Send([]Train{second}); n != 1 || err != nil {
		t.Fatalf("sent %d: %v", n, err)
	}
	if want := append(split([]Train{first})[:3], split([]Train{second})...); !slices.Equal(f.packets, want) {
		t.Errorf("%d packets went, want 3 and 10", len(f.packets))
	}
}

// A buffer is used again once its train has gone, so the place where that train
// was cut must be forgotten.
func TestSameBufferAgainGoesWhole(t *testing.T) {
	calls := 0
	f := &fakeSocket{script: func() (int, unix.Errno) {
		if calls++; calls == 2 {
			return 0, unix.EAGAIN
		}
		return 2, 0
	}}
	s := newFake(4, false, f)
	tr := []Train{train(&anywhere, 1000, 100)}
	for i, want := range []error{ErrAgain, nil, nil} {
		if _, err := s.Send(tr); err != want {
			t.Fatalf("call %d: %v, want %v", i, err, want)
		}
	}
	if once := split(tr); !slices.Equal(f.packets, append(once, once...)) {
		t.Errorf("%d packets went, want 10 twice", len(f.packets))
	}
}
