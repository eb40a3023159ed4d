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
	if err := l.Narrow(1, 1400); err == nil {
		t.Error("Narrow(1) of one host gave no error")
	}
	if err := l.Narrow(0, 1); err == nil {
		t.Error("Narrow to an MTU of 1 gave no error")
	}
}

func TestPlug(t *testing.T) {
	l := newLab(t, 2, 1500)
	var a, b net.PacketConn
	for i, c := range []*net.PacketConn{&a, &b} {
		err := l.Do(i, func() (err error) {
			*c, err = net.ListenPacket("udp4", net.JoinHostPort(Addr(i).String(), "7"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer (*c).Close()
	}
	arrives := func(patience time.Duration) bool {
		buf := make([]byte, 8)
		for end := time.Now().Add(patience); time.Now().Before(end); {
			_, _ = a.WriteTo([]byte{1}, b.LocalAddr()) // refused where there is no cable
			_ = b.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, _, err := b.ReadFrom(buf); err == nil {
				return true
			}
		}
		return false
	}
	if !arrives(5 * time.Second) {
		t.Fatal("nothing arrives though the cable is there")
	}
	if err := l.Plug(1, false); err != nil {
		t.Fatal(err)
	}
	if arrives(100 * time.Millisecond) {
		t.Error("packets arrive without a cable")
	}
	if err := l.Plug(1, true); err != nil {
		t.Fatal(err)
	}
	if !arrives(5 * time.Second) {
		t.Error("nothing arrives though the cable is back")
	}
	if err := l.Plug(2, true); err == nil {
		t.Error("Plug(2) of two hosts gave no error")
	}
}
