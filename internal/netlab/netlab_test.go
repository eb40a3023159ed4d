//go:build linux

package netlab

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func newLab(t *testing.T, n, mtu int) *Lab {
	t.Helper()
	l, err := New(n, mtu)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestHostsTalk(t *testing.T) {
	l := newLab(t, 3, 1500)
	conns := make([]net.PacketConn, 3)
	for i := range conns {
		err := l.Do(i, func() (err error) {
			eth, err := net.InterfaceByName(Interface)
			if err != nil {
				return err
			}
			if eth.MTU != 1500 {
				t.Errorf("MTU %d, want 1500", eth.MTU)
			}
			conns[i], err = net.ListenPacket("udp4", net.JoinHostPort(Addr(i).String(), "7"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	for i, c := range conns {
		to := (i + 1) % len(conns)
		if _, err := c.WriteTo([]byte{byte(i)}, conns[to].LocalAddr()); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 8)
		_ = conns[to].SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, from, err := conns[to].ReadFrom(b); err != nil || n != 1 || from.String() != c.LocalAddr().String() {
			t.Errorf("host %d got %d bytes from %v: %v", to, n, from, err)
		}
	}
}

func TestDoComesBack(t *testing.T) {
	l := newLab(t, 1, 1500)
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("from inside")
	var within string
	if err := l.Do(0, func() error {
		within, _ = os.Readlink("/proc/thread-self/ns/net")
		return failure
	}); !errors.Is(err, failure) {
		t.Errorf("Do returned %v, want what the function returned", err)
	}
	after, _ := os.Readlink("/proc/thread-self/ns/net")
	if after != before || within == before || within == "" {
		t.Errorf("namespace before %s, within %s, after %s", before, within, after)
	}
}

func TestBadArguments(t *testing.T) {
	for _, n := range []int{-1, 0, MaxHosts + 1} {
		if _, err := New(n, 1500); err == nil {
			t.Errorf("New(%d) gave no error", n)
		}
	}
	l := newLab(t, 1, 1500)
	if err := l.Do(1, func() error { return nil }); err == nil {
		t.Error("Do(1) of one host gave no error")
	}
}

func TestPlug(t *testing.T) {
	l := newLab(t, 2, 1500)
	carrier := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			var eth *net.Interface
			if err := l.Do(1, func() (err error) { eth, err = net.InterfaceByName(Interface); return err }); err != nil {
				t.Fatal(err)
			}
			if eth.Flags&net.FlagRunning != 0 == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("flags %v after 5 s, want running %v", eth.Flags, want)
			}
		}
	}
	for _, in := range []bool{false, true} {
		if err := l.Plug(1, in); err != nil {
			t.Fatal(err)
		}
		carrier(in)
	}
	if err := l.Plug(2, true); err == nil {
		t.Error("there is no host 2")
	}
}
