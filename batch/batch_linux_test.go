package batch

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTrainsArriveAsSent(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		for _, gso := range []bool{true, false} {
			for _, gro := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s gso=%v gro=%v", ip, gso, gro), func(t *testing.T) {
					from, fromAddr := socket(t, ip, false)
					to, toAddr := socket(t, ip, gro)
					trains := []Train{
						train(&toAddr, 1400, 1400),
						train(&toAddr, 5*1400+1, 1400), // last packet of one byte
						train(&toAddr, 7*1400-1, 1400), // last packet one byte short
						train(&toAddr, 0, 1400),        // nothing
						train(&toAddr, 150*64+9, 64),   // more than one message's packets
						train(&toAddr, 1<<16, 1472),    // more than one message's bytes
						train(&toAddr, MaxPayload, MaxPayload),
					}
					s := NewSender(from, 16, gso)
					if n, err := s.Send(trains); n != len(trains) || err != nil {
						t.Fatalf("sent %d of %d: %v", n, len(trains), err)
					}
					want := split(trains)
					r := NewReceiver(to, 8, gro)
					var got []Train
					for len(split(got)) < len(want) {
						more := receive(t, r, 1)
						if len(more) == 0 {
							break
						}
						got = append(got, more...)
					}
					if !slices.Equal(split(got), want) {
						t.Fatalf("%d packets came, want %d, or other bytes", len(split(got)), len(want))
					}
					if gso && gro && len(got) != 9 { // five, of which one is cut in three and one in two, less the empty
						t.Errorf("came as %d trains, want 9", len(got))
					}
					for _, g := range got {
						if g.From != fromAddr.AddrPort() {
							t.Fatalf("from %v, want %v", g.From, fromAddr.AddrPort())
						}
					}
					if s.GSO() != gso {
						t.Errorf("GSO is %v: %v", s.GSO(), s.GSOError())
					}
				})
			}
		}
	}
}

func TestNothingThere(t *testing.T) {
	fd, _ := socket(t, "127.0.0.1", true)
	r := NewReceiver(fd, 4, true)
	for _, trains := range [][]Train{room(4, 100), nil} {
		if n, err := r.Recv(trains); n != 0 || err != nil {
			t.Errorf("got %d, %v; want 0 and no error", n, err)
		}
	}
}

func TestTooLongIsDroppedAndCounted(t *testing.T) {
	from, _ := socket(t, "127.0.0.1", false)
	to, addr := socket(t, "127.0.0.1", true)
	s, r := NewSender(from, 4, true), NewReceiver(to, 4, true)
	sent := []Train{train(&addr, 101, 101), train(&addr, 100, 100), train(&addr, 120, 60)}
	if _, err := s.Send(sent); err != nil {
		t.Fatal(err)
	}
	got := room(4, 100)
	n, err := r.Recv(got)
	if n != 3 || err != nil {
		t.Fatalf("got %d: %v", n, err)
	}
	if len(got[0].Buf) != 0 || string(got[1].Buf) != string(sent[1].Buf) || len(got[2].Buf) != 0 {
		t.Errorf("got %d, %d and %d bytes, want 0, 100 and 0", len(got[0].Buf), len(got[1].Buf), len(got[2].Buf))
	}
	if r.Truncated() != 2 {
		t.Errorf("%d truncated, want 2", r.Truncated())
	}
}

func TestEmptyDatagram(t *testing.T) {
	from, _ := socket(t, "127.0.0.1", false)
	to, addr := socket(t, "127.0.0.1", true)
	ap := addr.AddrPort()
	if err := unix.Sendto(from, nil, 0, &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}); err != nil {
		t.Fatal(err)
	}
	got := receive(t, NewReceiver(to, 4, true), 1)
	if len(got) != 1 || len(got[0].Buf) != 0 || got[0].Packets() != 0 {
		t.Errorf("got %+v, want one train without packets", got)
	}
}

func TestDropsAreCounted(t *testing.T) {
	from, _ := socket(t, "127.0.0.1", false)
	to, addr := socket(t, "127.0.0.1", false)
	set(t, to, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<14)
	s, r := NewSender(from, 64, false), NewReceiver(to, 64, false)
	const rounds, packets = 3, 200
	came := 0
	for range rounds {
		if _, err := s.Send([]Train{train(&addr, packets*100, 100)}); err != nil {
			t.Fatal(err)
		}
		for n := 1; n > 0; came += n {
			var err error
			if n, err = r.Recv(room(64, 100)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The kernel tells with the next packet that it has room for.
	if _, err := s.Send([]Train{train(&addr, 1, 1)}); err != nil {
		t.Fatal(err)
	}
	receive(t, r, 1)
	if lost := uint64(rounds*packets - came); r.Drops() != lost || lost == 0 {
		t.Errorf("counted %d drops, want %d, and more than 0", r.Drops(), lost)
	}
}

func TestImpossibleTrains(t *testing.T) {
	fd, addr := socket(t, "127.0.0.1", false)
	none, noPort := Addr{}, MakeAddr(netip.MustParseAddrPort("127.0.0.1:0"))
	good := train(&addr, 10, 10)
	for _, bad := range []Train{
		{Buf: make([]byte, 10), Segment: 0, To: &addr},
		{Buf: make([]byte, 10), Segment: -1, To: &addr},
		{Buf: make([]byte, 1<<17), Segment: MaxPayload + 1, To: &addr},
		{Buf: make([]byte, 10), Segment: 10},
		{Buf: make([]byte, 10), Segment: 10, To: &none},
		{Buf: make([]byte, 10), Segment: 10, To: &noPort},
	} {
		n, err := NewSender(fd, 4, true).Send([]Train{good, bad, good})
		if n != 1 || !errors.Is(err, ErrTrain) {
			t.Errorf("%d bytes in packets of %d to %v: sent %d, %v; want 1 and ErrTrain",
				len(bad.Buf), bad.Segment, bad.To, n, err)
		}
	}
}

func TestSystemErrorNamesTheTrain(t *testing.T) {
	fd, _ := socket(t, "127.0.0.1", false)
	six := MakeAddr(netip.MustParseAddrPort("[2001:db8::1]:9"))
	n, err := NewSender(fd, 4, false).Send([]Train{train(&six, 30, 10)})
	if n != 0 || !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("sent %d, %v; want 0 and EAFNOSUPPORT", n, err)
	}
}

func TestAddrRoundTrip(t *testing.T) {
	for _, s := range []string{"127.0.0.1:9", "239.1.2.3:65535", "[::1]:80", "[2001:db8::1]:1"} {
		a := MakeAddr(netip.MustParseAddrPort(s))
		if got := a.kernel.addrPort(); got.String() != s || a.AddrPort() != got {
			t.Errorf("%s came back as %v", s, got)
		}
	}
	mapped := MakeAddr(netip.MustParseAddrPort("[::ffff:10.0.0.1]:5"))
	if got := mapped.AddrPort().String(); got != "10.0.0.1:5" {
		t.Errorf("a mapped address became %s, want 10.0.0.1:5", got)
	}
}
