package iomulticast

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cohort/batch"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// overEach runs a test over each kind of sockets.
func overEach(t *testing.T, test func(t *testing.T, cfg Config, openNext func() *Conn)) {
	for name, openLink := range openers {
		t.Run(name, func(t *testing.T) {
			cfg := loConfig(t)
			test(t, cfg, func() *Conn { return mustOpenLink(t, cfg, openLink) })
		})
	}
}

func mustSend(t *testing.T, c *Conn, trains ...batch.Train) {
	t.Helper()
	if n, err := c.Send(trains); n != len(trains) || err != nil {
		t.Fatalf("sent %d of %d trains: %v", n, len(trains), err)
	}
}

func TestTrainsReachEveryReceiver(t *testing.T) {
	overEach(t, func(t *testing.T, _ Config, openNext func() *Conn) {
		sender, receivers := openNext(), []*Conn{openNext(), openNext(), openNext()}
		trains := []batch.Train{pattern(10*1400+77, 1400), pattern(64, 64), pattern(20*64, 64), pattern(3, 1400)}
		want := packets(trains)
		mustSend(t, sender, trains...)
		for _, r := range receivers {
			got, n, err := gather(r, r.RecvMulticast, len(want))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %d packets, want %d, equal %v: %v", len(got), len(want), slices.Equal(got, want), err)
			}
			if r.Features().GRO.On && sender.Features().GSO.On && n != len(trains) {
				t.Errorf("%d trains came as %d", len(trains), n)
			}
		}
	})
}

func TestUnicastReachesOne(t *testing.T) {
	overEach(t, func(t *testing.T, _ Config, openNext func() *Conn) {
		a, b, c := openNext(), openNext(), openNext()
		to := batch.MakeAddr(b.Addr())
		train := pattern(5*1000+1, 1000)
		train.To = &to
		mustSend(t, a, train)
		in := buffers(1)
		if err := b.Wait(time.Second); err != nil {
			t.Fatal(err)
		}
		if n, err := b.RecvUnicast(in); n != 1 || err != nil || in[0].From != a.Addr() {
			t.Errorf("got %d trains from %v, want 1 from %v: %v", n, in[0].From, a.Addr(), err)
		}
		for _, other := range []recv{b.RecvMulticast, c.RecvMulticast, c.RecvUnicast, a.RecvUnicast} {
			if n, err := other(buffers(1)); n != 0 || err != nil {
				t.Errorf("got %d trains that were for another: %v", n, err)
			}
		}
	})
}

func TestOwnMulticastDoesNotComeBack(t *testing.T) {
	overEach(t, func(t *testing.T, _ Config, openNext func() *Conn) {
		a, b := openNext(), openNext() // same address, another port
		mustSend(t, a, pattern(5000, 1000), pattern(10, 10))
		mustSend(t, b, pattern(2000, 1000))
		got, _, err := gather(a, a.RecvMulticast, 2)
		if err != nil || !slices.Equal(got, packets([]batch.Train{pattern(2000, 1000)})) {
			t.Errorf("got %d packets, want the 2 of the other: %v", len(got), err)
		}
		time.Sleep(20 * time.Millisecond)
		in := buffers(4)
		n, err := a.RecvMulticast(in)
		if left := packets(in[:n]); len(left) != 0 || err != nil {
			t.Errorf("%d packets more: %v", len(left), err)
		}
	})
}

func TestWait(t *testing.T) {
	overEach(t, func(t *testing.T, _ Config, openNext func() *Conn) {
		a, b := openNext(), openNext()
		start := time.Now()
		if err := a.Wait(0); err != nil {
			t.Fatal(err)
		}
		if err := a.Wait(30 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 30*time.Millisecond || took > time.Second {
			t.Errorf("waiting 30 ms took %v", took)
		}
		for name, event := range map[string]func(){
			"wake":   func() { _ = a.Wake() },
			"packet": func() { mustSend(t, b, pattern(10, 10)) },
		} {
			done := make(chan error)
			go func() { done <- a.Wait(-1) }()
			time.Sleep(10 * time.Millisecond)
			event()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s did not end Wait", name)
			}
			if _, err := a.RecvMulticast(buffers(4)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWakeBeforeWaitIsNotLost(t *testing.T) {
	overEach(t, func(t *testing.T, _ Config, openNext func() *Conn) {
		a := openNext()
		for range 3 {
			if err := a.Wake(); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if err := a.Wait(5 * time.Second); err != nil || time.Since(start) > time.Second {
			t.Errorf("Wait took %v: %v", time.Since(start), err)
		}
		start = time.Now()
		if err := a.Wait(20 * time.Millisecond); err != nil || time.Since(start) < 20*time.Millisecond {
			t.Errorf("a second Wait took %v: wake-ups add up: %v", time.Since(start), err)
		}
	})
}

func TestWakeDuringClose(t *testing.T) {
	overEach(t, func(t *testing.T, _ Config, openNext func() *Conn) {
		for range 50 {
			a := openNext()
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					var err error
					for err == nil {
						err = a.Wake()
					}
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("Wake: %v, want net.ErrClosed", err)
					}
				})
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
		}
	})
}

func TestClosed(t *testing.T) {
	overEach(t, func(t *testing.T, _ Config, openNext func() *Conn) {
		a := openNext()
		addr := a.Addr()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		_, sendErr := a.Send([]batch.Train{pattern(10, 10)})
		_, multicastErr := a.RecvMulticast(buffers(1))
		_, unicastErr := a.RecvUnicast(buffers(1))
		for i, err := range []error{sendErr, multicastErr, unicastErr, a.Wait(0), a.WaitWritable(0), a.Wake(), a.Close()} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("call %d: %v, want net.ErrClosed", i, err)
			}
		}
		if a.Addr() != addr || a.Features().Interface == "" || a.Drops() != 0 {
			t.Error("a closed Conn forgot what it was")
		}
	})
}

func TestBadConfigurations(t *testing.T) {
	good := loConfig(t)
	group := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, c := range []struct {
		want    error
		names   string // must be in the message
		changed func(*Config)
	}{
		{ErrInterface, "127.0.0.1", func(c *Config) { c.Interface = "" }},
		{ErrInterface, "nosuch0", func(c *Config) { c.Interface = "nosuch0" }},
		{ErrInterface, "127.0.0.1", func(c *Config) { c.Interface = "192.0.2.77" }},
		{ErrInterface, "IPv4", func(c *Config) { c.Interface = "::1" }},
		{ErrGroup, "10.0.0.1:7", func(c *Config) { c.Group = group("10.0.0.1:7") }},
		{ErrGroup, "239.0.0.1:0", func(c *Config) { c.Group = group("239.0.0.1:0") }},
		{ErrGroup, "ff02::1", func(c *Config) { c.Group = group("[ff02::1]:7") }},
		{ErrGroup, "224.0.0.0/4", func(c *Config) { c.Group = netip.AddrPort{} }},
		{ErrOption, "TTL 256", func(c *Config) { c.TTL = 256 }},
		{ErrOption, "TTL -1", func(c *Config) { c.TTL = -1 }},
		{ErrOption, "segment 65508", func(c *Config) { c.Segment = 65508 }},
		{ErrOption, "segment 1", func(c *Config) { c.Segment = 1 }},
		{ErrOption, "receive buffer -5", func(c *Config) { c.RecvBuffer = -5 }},
		{ErrOption, "send buffer", func(c *Config) { c.SendBuffer = 1 << 30 }},
		{ErrOption, "trains 2", func(c *Config) { c.Trains = 2 }},
		{ErrOption, "1.5", func(c *Config) { c.Faults.Loss = 1.5 }},
	} {
		cfg := good
		c.changed(&cfg)
		conn, err := Open(cfg)
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("got %v; want %v, naming %s", err, c.want, c.names)
		}
	}
}

func TestSegment(t *testing.T) {
	for _, c := range []struct{ mtu, asked, want int }{
		{1500, 0, 1472},
		{9000, 0, 8972},
		{40_000, 0, 39_972},
		{65520, 0, loSegment}, // as of IP over InfiniBand
		{65536, 0, loSegment},
		{1500, 9000, 9000},
		{65536, 65507, 65507},
	} {
		if got := (Config{Segment: c.asked}).segment(c.mtu); got != c.want {
			t.Errorf("MTU %d, asked %d: %d, want %d", c.mtu, c.asked, got, c.want)
		}
	}
}

// Anyone can send anything to an open port.
func TestHostileLengths(t *testing.T) {
	overEach(t, func(t *testing.T, cfg Config, openNext func() *Conn) {
		a := openNext()
		stranger, err := net.Dial("udp4", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		for _, size := range []int{0, 1, 100, 101, 65507, 99} {
			if _, err := stranger.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		var sizes []int
		for deadline := time.Now().Add(time.Second); len(sizes) < 6 && time.Now().Before(deadline); {
			in := []batch.Train{{Buf: make([]byte, 100)}, {Buf: make([]byte, 100)}}
			n, err := a.RecvUnicast(in)
			if err != nil {
				t.Fatal(err)
			}
			for _, tr := range in[:n] {
				sizes = append(sizes, len(tr.Buf))
			}
		}
		if want := []int{0, 1, 100, 0, 0, 99}; !slices.Equal(sizes, want) {
			t.Errorf("sizes %v, want %v", sizes, want)
		}
	})
}

func TestFaults(t *testing.T) {
	cfg := loConfig(t)
	a := mustOpen(t, cfg)
	cfg.Faults = Faults{Loss: 0.2, Duplicate: 0.1, Seed: 7}
	b, same := mustOpen(t, cfg), mustOpen(t, cfg)
	const trains, perTrain = 100, 40
	var got [2][]string
	for range trains {
		mustSend(t, a, pattern(perTrain*100-1, 100))
		for i, c := range []*Conn{b, same} {
			in := buffers(32)
			n, err := c.RecvMulticast(in)
			if err != nil {
				t.Fatal(err)
			}
			got[i] = append(got[i], packets(in[:n])...)
		}
	}
	if !slices.Equal(got[0], got[1]) {
		t.Error("the same seed gave different faults")
	}
	valid := packets([]batch.Train{pattern(perTrain*100-1, 100)})
	for _, p := range got[0] {
		if !slices.Contains(valid, p) {
			t.Fatalf("a packet of %d bytes that nobody sent", len(p))
		}
	}
	// 0.8 of 4000 come, and a tenth of those again: 3520, give or take.
	if n := len(got[0]); n < 3350 || n > 3700 {
		t.Errorf("%d packets came of %d, want about 3520", n, trains*perTrain)
	}
}
