package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cohort/iomulticast"
	"cohort/membership"
)

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		kind error
		want string // in the message
	}{
		{"no interface", Config{}, ErrConfig, "Interface"},
		{"unknown interface", Config{Interface: "nosuch7"}, iomulticast.ErrInterface, "nosuch7"},
		{"negative members", Config{Interface: "lo", Expect: -1}, ErrConfig, "-1"},
		{"too many members", Config{Interface: "lo", Expect: membership.MaxMembers + 1}, ErrConfig, "65"},
		{"long name", Config{Interface: "lo", Name: strings.Repeat("n", 65)}, ErrConfig, "65 bytes"},
		{"port", Config{Interface: "lo", Port: 70000}, ErrConfig, "70000"},
		{"timeout", Config{Interface: "lo", Timeout: time.Millisecond}, ErrConfig, "1ms"},
		{"discovery", Config{Interface: "lo", Discovery: -1}, ErrConfig, "-1ns"},
		{"transport", Config{Interface: "lo", Transport: 3}, ErrConfig, "Transport is 3"},
		{"slow limit", Config{Interface: "lo", SlowLimit: -time.Second}, ErrConfig, "-1s"},
		{"seed without a port", Config{Interface: "lo", Seeds: []string{"host"}}, ErrConfig, `"host"`},
		{"seed with a bad port", Config{Interface: "lo", Seeds: []string{"host:0"}}, ErrConfig, `"0"`},
		{"small ring", Config{Interface: "lo", SubmitRing: 1000}, ErrConfig, "1000"},
		{"huge ring", Config{Interface: "lo", SubmitRing: 1<<31 - 1}, ErrConfig, "2147483647"},
		{"negative ring", Config{Interface: "lo", SubmitRing: -1}, ErrConfig, "-1"},
		{"small limit", Config{Interface: "lo", HoldLimit: 1000}, ErrConfig, "1000"},
		{"interface", Config{Interface: "eth99"}, ErrConfig, "eth99"},
		{"group", Config{Interface: "lo", Group: netip.MustParseAddrPort("10.0.0.1:7000")}, ErrConfig, "10.0.0.1"},
		{"group, as the sockets say it", Config{Interface: "lo", Group: netip.MustParseAddrPort("10.0.0.1:7000")}, iomulticast.ErrGroup, "10.0.0.1"},
		{"group without an address", Config{Interface: "lo", Group: netip.AddrPortFrom(netip.Addr{}, 7000)}, ErrConfig, "want an IPv4 address"},
		{"TTL", Config{Interface: "lo", TTL: 256}, ErrConfig, "256"},
		{"segment", Config{Interface: "lo", Segment: 100}, ErrConfig, "100"},
		{"large segment", Config{Interface: "lo", Segment: 1 << 16}, ErrConfig, "65536"},
		{"trains", Config{Interface: "lo", Trains: 9}, ErrConfig, "9"},
		{"loss", Config{Interface: "lo", Faults: iomulticast.Faults{Loss: 1.5}}, iomulticast.ErrOption, "1.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := Open(patient(t), c.cfg)
			if err == nil {
				_ = n.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q with %s in it", err, c.kind, c.want)
			}
		})
	}
}

func TestOpenTellsWhoIsMissing(t *testing.T) {
	cluster := fmt.Sprintf("missing-%x", rand.Uint64())
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	errs := make(chan error, 2)
	for _, name := range []string{"anna", "bert"} {
		go func() {
			_, err := Open(ctx, Config{Cluster: cluster, Name: name, Interface: "lo", Expect: 5})
			errs <- err
		}()
	}
	for range 2 {
		err := <-errs
		if !errors.Is(err, ErrNoView) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, want ErrNoView and the context's error", err)
		}
		for _, want := range []string{"2 of 5", "anna", "bert"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not tell %q", err, want)
			}
		}
	}
}

func TestOpenTellsOfOtherExpectations(t *testing.T) {
	cluster := fmt.Sprintf("differ-%x", rand.Uint64())
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	errs := make(chan error, 2)
	for _, expect := range []int{2, 3} {
		go func() {
			_, err := Open(ctx, Config{Cluster: cluster, Name: fmt.Sprint("wants", expect), Interface: "lo", Expect: expect})
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, ErrNoView) || !strings.Contains(err.Error(), "expects") {
			t.Errorf("%v, want ErrNoView that tells of the difference", err)
		}
	}
}

func TestOpenWithEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("too late")
	cancel(why)
	for range 20 {
		n, err := Open(ctx, Config{Cluster: t.Name(), Interface: "lo", Expect: 2})
		if n != nil || !errors.Is(err, why) {
			t.Fatalf("%v and %v, want the context's cause", n, err)
		}
	}
}

func TestViewIsTheSameEverywhere(t *testing.T) {
	nodes := openRing(t, 5, nil)
	seen := map[int]bool{}
	for _, n := range nodes {
		v := n.View()
		if v.Key() != nodes[0].View().Key() || len(v.Members) != 5 {
			t.Errorf("view %+v, want that of the first node, %+v", v, nodes[0].View())
		}
		if v.Members[n.Rank()].Name != n.cfg.Name || seen[n.Rank()] {
			t.Errorf("%s has rank %d, which is %s", n.cfg.Name, n.Rank(), v.Members[n.Rank()].Name)
		}
		seen[n.Rank()] = true
	}
}
