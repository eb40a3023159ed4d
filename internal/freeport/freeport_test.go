package freeport

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

// TestReserve: nobody else opens the port while it is held, as UDP or TCP, and anybody afterwards.
func TestReserve(t *testing.T) {
	p, err := Reserve(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	where := p.TCP.Addr().String()
	if u := p.UDP.LocalAddr().String(); u != where {
		t.Errorf("TCP at %s, UDP at %s, want one address", where, u)
	}
	if a := netip.MustParseAddrPort(where); int(a.Port()) != p.Number || p.Number < lowest || p.Number >= above {
		t.Errorf("port %d at %v, want one of [%d, %d)", p.Number, a, lowest, above)
	}
	if err := openBoth(where); err == nil {
		t.Errorf("%s was opened by another while it is held", where)
	}
	for range 2 {
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	}
	if err := openBoth(where); err != nil {
		t.Errorf("after Release: %v", err)
	}
}

func openBoth(where string) error {
	l, err := net.Listen("tcp", where)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", where)
	if err != nil {
		return err
	}
	return c.Close()
}

func TestReserveOfAnothersAddress(t *testing.T) {
	if p, err := Reserve(netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Errorf("port %d of an address that is not this machine's", p.Number)
	}
}

func TestReleaseOfNothing(t *testing.T) {
	var p *Port
	if err := p.Release(); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	list, err := Addresses(20)
	if err != nil || len(list) != 20 {
		t.Fatalf("%d addresses, error %v", len(list), err)
	}
	if slices.Sort(list); len(slices.Compact(list)) != 20 {
		t.Errorf("addresses %v, want 20 different ones", list)
	}
	for _, a := range list {
		if err := openBoth(a); err != nil {
			t.Error(err)
		}
	}
}
