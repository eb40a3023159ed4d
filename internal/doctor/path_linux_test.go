package doctor

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cohort/internal/netlab"
	"cohort/tuning"
)

// group is this process's own: what another one's tests send would be counted.
var group = netip.AddrPortFrom(netip.MustParseAddr("239.255.77.98"), uint16(20000+rand.N(9000)))

func newLab(t *testing.T) *netlab.Lab {
	t.Helper()
	l, err := netlab.New(2, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// nft gives host i a packet filter.
func nft(t *testing.T, l *netlab.Lab, i int, rules string) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed, so that no packets can be lost")
	}
	err := l.Do(i, func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader("table ip probe {\nchain input { type filter hook input priority 0;\n" + rules + "\n}\n}\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Logf("%s", out)
		}
		return err
	})
	if err != nil {
		t.Skipf("nft cannot make rules in a namespace: %v", err)
	}
}

// probe has host 1 listen and host 0 probe it.
func probe(t *testing.T, l *netlab.Lab) *Path {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	place := Place{Interface: netlab.Interface, Group: group}
	at, ended := make(chan netip.AddrPort, 1), make(chan error, 1)
	go func() {
		ended <- l.Do(1, func() error {
			peer, err := Listen(ctx, place, func(a netip.AddrPort) { at <- a })
			if err == nil && peer.Addr() != netlab.Addr(0) {
				t.Errorf("the listener was probed by %v, want %v", peer, netlab.Addr(0))
			}
			return err
		})
	}()
	var peer netip.AddrPort
	select {
	case peer = <-at:
	case err := <-ended:
		t.Fatal(err)
	}
	var path *Path
	err := l.Do(0, func() (err error) {
		path, err = Probe(ctx, place, peer)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("listener: %v", err)
	}
	if len(path.Ways) != 4 || path.Peer != netlab.Addr(1) || path.Local != netlab.Addr(0) {
		t.Fatalf("%+v", path)
	}
	return path
}

func ids(all []tuning.Finding) (list []string) {
	for _, f := range all {
		list = append(list, f.ID)
	}
	return list
}

func TestPathThatIsWell(t *testing.T) {
	path := probe(t, newLab(t))
	// On a busy machine the receiver may be away for longer than its buffer lasts.
	for _, id := range ids(path.Findings()) {
		if id != "loss" {
			t.Errorf("found %s on a good path: %+v", id, path.Findings())
		}
	}
	for _, w := range path.Ways {
		if w.Sent != smallPackets || w.Tally.Received == 0 || w.Largest != 1500 || w.Tally.Changed+w.Tally.Reordered+w.Tally.Duplicated != 0 {
			t.Errorf("%+v", w)
		}
		if w.NoTrains != "" {
			t.Logf("no trains: %s", w.NoTrains)
			continue
		}
		if w.TrainPackets != trainsSent*trainPackets || w.TrainTally.Received < w.TrainPackets/2 || w.TrainTally.Trains == 0 || w.TrainTally.Changed != 0 {
			t.Errorf("trains: %+v", w)
		}
	}
}

func TestPathWithoutMulticast(t *testing.T) {
	l := newLab(t)
	nft(t, l, 1, "ip daddr 224.0.0.0/4 drop")
	path := probe(t, l)
	got := path.Findings()
	if len(got) == 0 || got[0].ID != "multicast-lost" || got[0].Severity != tuning.Broken {
		t.Fatalf("found %+v", got)
	}
	if n := len(slices.DeleteFunc(ids(got), func(id string) bool { return id != "multicast-lost" })); n != 1 {
		t.Errorf("multicast is lost in %d directions, want 1: %+v", n, got)
	}
	for _, says := range []string{"from here (198.18.0.1) at 198.18.0.2", "nft insert rule", "239.255.77.98", "mcast_querier", "unicast fan-out"} {
		if !strings.Contains(got[0].Found+got[0].Why+strings.Join(got[0].Commands, "\n"), says) {
			t.Errorf("does not say %q: %+v", says, got[0])
		}
	}
	for _, w := range path.Ways {
		if lost := w.Multicast && w.Out; lost != (w.Tally.Received == 0) {
			t.Errorf("%+v", w)
		}
	}
}

func TestPathWithoutUnicastBack(t *testing.T) {
	l := newLab(t)
	nft(t, l, 0, "ip saddr 198.18.0.2 ip daddr 198.18.0.1 ip protocol udp drop")
	if got := probe(t, l).Findings(); len(got) == 0 || got[0].ID != "unicast-lost" || !strings.Contains(got[0].Found, "from 198.18.0.2 at here") {
		t.Errorf("found %+v", got)
	}
}

func TestPathThatIsNarrowInTheMiddle(t *testing.T) {
	l := newLab(t)
	if err := l.Narrow(1, 1400); err != nil {
		t.Fatal(err)
	}
	path := probe(t, l)
	for _, w := range path.Ways {
		// A switch lets 4 bytes more pass, as there may be a VLAN's tag.
		if w.Wanted != 1500 || w.Largest < 1400 || w.Largest > 1404 {
			t.Errorf("largest packet %d of %d, want 1400 to 1404 of 1500: %+v", w.Largest, w.Wanted, w)
		}
	}
	got := path.Findings()
	if !slices.Contains(ids(got), "path-mtu") || !strings.Contains(got[0].Commands[0], "mtu 140") {
		t.Errorf("found %+v", got)
	}
}

func TestPathThatLoses(t *testing.T) {
	l := newLab(t)
	nft(t, l, 1, "ip protocol udp numgen random mod 100 < 30 drop")
	path := probe(t, l)
	w := path.Ways[0]
	if lost := w.Sent - w.Tally.Received; lost < w.Sent/10 || lost > w.Sent/2 {
		t.Errorf("%d of %d packets lost, want some 30 %%", lost, w.Sent)
	}
	if got := ids(path.Findings()); !slices.Contains(got, "loss") {
		t.Errorf("found %v", got)
	}
}

// Two groups on the two sides are a mistake that is named, at both.
func TestProbeOfAnotherGroup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	at, ended := make(chan netip.AddrPort, 1), make(chan error, 1)
	go func() {
		_, err := Listen(ctx, Place{"lo", group}, func(a netip.AddrPort) { at <- a })
		ended <- err
	}()
	other := netip.AddrPortFrom(netip.MustParseAddr("239.255.77.97"), group.Port())
	_, err := Probe(ctx, Place{"lo", other}, <-at)
	if err == nil || !strings.Contains(err.Error(), "give both the same --group") {
		t.Errorf("prober: %v", err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "239.255.77.97") {
		t.Errorf("listener: %v", err)
	}
}

func TestProbeOfNobody(t *testing.T) {
	if _, err := Probe(t.Context(), Place{"lo", group}, netip.MustParseAddrPort("127.0.0.1:1")); err == nil || !strings.Contains(err.Error(), "doctor --listen") {
		t.Errorf("%v", err)
	}
}

// A listener must not send to others than who asks, nor take what is not to be had.
func TestListenOnHostileWords(t *testing.T) {
	for line, want := range map[string]string{
		"GET / HTTP/1.1": "speaks otherwise",
		`{"hello":{"version":1,"group":"` + group.String() + `","socket":"192.0.2.9:5"}}`: "want its own address",
		`{"hello":{"version":7}}`: "want version 1",
		`{"hello":{"version":1,"group":"` + group.String() + `","socket":"127.0.0.1:5"}}` + "\n" + `{"trial":{"id":1,"size":70000,"packets":1,"train":1}}`:        "want 17 to",
		`{"hello":{"version":1,"group":"` + group.String() + `","socket":"127.0.0.1:5"}}` + "\n" + `{"trial":{"id":1,"size":100,"packets":2000000000,"train":1}}`: "want 17 to",
		strings.Repeat("x", 2*maxLine): "token too long",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		at, ended := make(chan netip.AddrPort, 1), make(chan error, 1)
		go func() {
			_, err := Listen(ctx, Place{"lo", group}, func(a netip.AddrPort) { at <- a })
			ended <- err
		}()
		speak(t, <-at, line+"\n")
		if err := <-ended; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", line, err, want)
		}
		cancel()
	}
}

func TestListenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Listen(ctx, Place{"lo", group}, func(netip.AddrPort) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func speak(t *testing.T, at netip.AddrPort, text string) {
	t.Helper()
	c, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := bytes.NewBufferString(text).WriteTo(c); err != nil {
		t.Fatal(err)
	}
}
