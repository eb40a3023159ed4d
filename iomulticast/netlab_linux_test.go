package iomulticast

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"cohort/batch"
	"cohort/internal/netlab"
)

// openLab opens a Conn on each host of a network of its own.
func openLab(tb testing.TB, mtu int, cfgs ...Config) []*Conn {
	tb.Helper()
	lab, err := netlab.New(len(cfgs), mtu)
	if errors.Is(err, netlab.ErrUnavailable) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = lab.Close() })
	conns := make([]*Conn, len(cfgs))
	for i, cfg := range cfgs {
		cfg.Interface = netlab.Interface
		if err := lab.Do(i, func() error { conns[i] = mustOpen(tb, cfg); return nil }); err != nil {
			tb.Fatal(err)
		}
	}
	return conns
}

func TestTrainsCrossTheSwitch(t *testing.T) {
	for _, mtu := range []int{1500, 9000} {
		cfg := Config{Group: testGroup()}
		conns := openLab(t, mtu, cfg, cfg, cfg)
		f := conns[0].Features()
		if f.MTU != mtu || f.Segment != mtu-28 || !f.Filter.On || f.Interface != netlab.Interface {
			t.Errorf("%+v", f)
		}
		if !f.GSO.On || !f.GRO.On {
			t.Skipf("no trains: GSO %v, GRO %v", f.GSO, f.GRO)
		}
		segment := f.Segment
		trains := []batch.Train{pattern(fullTrain(segment), segment), pattern(5*segment+1, segment), pattern(64*64, 64)}
		mustSend(t, conns[0], trains...)
		for _, r := range conns[1:] {
			got, n, err := gather(r, r.RecvMulticast, len(packets(trains)))
			if err != nil || n != len(trains) || !slices.Equal(got, packets(trains)) {
				t.Errorf("MTU %d: %d trains came as %d, equal %v: %v",
					mtu, len(trains), n, slices.Equal(got, packets(trains)), err)
			}
		}
		in := buffers(4)
		if n, err := conns[0].RecvMulticast(in); n != 0 || err != nil {
			t.Errorf("%d own trains came back: %v", n, err)
		}
		to := batch.MakeAddr(conns[2].Addr())
		reply := pattern(3*segment, segment)
		reply.To = &to
		mustSend(t, conns[1], reply)
		if _, n, err := gather(conns[2], conns[2].RecvUnicast, 3); n != 1 || err != nil {
			t.Errorf("a unicast train came as %d: %v", n, err)
		}
	}
}

func TestPacketsLargerThanTheMTUAreFragmented(t *testing.T) {
	cfg := Config{Group: testGroup(), Segment: 8192}
	conns := openLab(t, 1500, cfg, cfg)
	if f := conns[0].Features().GSO; f.On || f.Why == "" {
		t.Errorf("GSO %v, want off, as a train's packets must fit the MTU", f)
	}
	train := pattern(3*8192+1, 8192)
	mustSend(t, conns[0], train)
	got, _, err := gather(conns[1], conns[1].RecvMulticast, 4)
	if err != nil || !slices.Equal(got, packets([]batch.Train{train})) {
		t.Errorf("%d packets came: %v", len(got), err)
	}
}

// Two nodes on one host hear each other through an interface that is not lo.
func TestTwoNodesOnOneHost(t *testing.T) {
	lab, err := netlab.New(1, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	var a, b *Conn
	err = lab.Do(0, func() error {
		cfg := Config{Interface: netlab.Addr(0).String(), Group: testGroup()}
		a, b = mustOpen(t, cfg), mustOpen(t, cfg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	to := batch.MakeAddr(b.Addr())
	unicast := pattern(2000, 1000)
	unicast.To = &to
	mustSend(t, a, pattern(3000, 1000), unicast)
	if _, n, err := gather(b, b.RecvMulticast, 3); n != 1 || err != nil {
		t.Errorf("%d trains came: %v", n, err)
	}
	if _, n, err := gather(b, b.RecvUnicast, 2); n != 1 || err != nil {
		t.Errorf("%d unicast trains came: %v", n, err)
	}
}

// Packets for a host that is not there stay in the send buffer until the kernel
// gives its search for the host up.
func TestFullSendBuffer(t *testing.T) {
	cfg := Config{Group: testGroup(), SendBuffer: 1 << 14, Trains: Off} // so that a train goes in part
	a := openLab(t, 1500, cfg)[0]
	nobody := batch.MakeAddr(netip.AddrPortFrom(netlab.Addr(99), 9))
	train := pattern(12*1000, 1000)
	train.To = &nobody
	if n, err := a.Send([]batch.Train{train}); n != 0 || !errors.Is(err, batch.ErrAgain) {
		t.Fatalf("sent %d trains: %v; want batch.ErrAgain", n, err)
	}
	start := time.Now()
	if err := a.WaitWritable(20 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("a full buffer was called writable after %v", took)
	}
	for deadline := start.Add(20 * time.Second); ; {
		n, err := a.Send([]batch.Train{train})
		if n == 1 {
			return
		}
		if !errors.Is(err, batch.ErrAgain) || time.Now().After(deadline) {
			t.Fatalf("sent %d trains after %v: %v", n, time.Since(start), err)
		}
		if err := a.WaitWritable(time.Second); err != nil {
			t.Fatal(err)
		}
	}
}
