package iomulticast

import (
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"cohort/batch"

	"golang.org/x/sys/unix"
)

func TestFeaturesOnLo(t *testing.T) {
	c := mustOpen(t, loConfig(t))
	f := c.Features()
	t.Logf("%+v", f)
	if f.Interface != "lo" || f.Portable || !f.Filter.On || f.Segment != loSegment || f.MTU < f.Segment {
		t.Errorf("%+v", f)
	}
	if f.GSO.On == (f.GSO.Why != "") || f.GRO.On == (f.GRO.Why != "") {
		t.Errorf("GSO %v, GRO %v: want on, or off with a reason", f.GSO, f.GRO)
	}
}

func TestRefusedRecvBufferNamesTheLimit(t *testing.T) {
	cfg := loConfig(t)
	cfg.RecvBuffer = maxBuffer
	f := mustOpen(t, cfg).Features()
	if os.Geteuid() == 0 && f.RecvBufferRefused == "" {
		t.Skip("this user may have any buffer: run as an ordinary user")
	}
	if f.RecvBuffer >= maxBuffer || !strings.Contains(f.RecvBufferRefused, "net.core.rmem_max") {
		t.Errorf("granted %d, refused %q", f.RecvBuffer, f.RecvBufferRefused)
	}
}

func TestRecvBufferIsWhatWasAsked(t *testing.T) {
	cfg := loConfig(t)
	cfg.RecvBuffer = 100_000
	if f := mustOpen(t, cfg).Features(); f.RecvBuffer != 100_000 || f.RecvBufferRefused != "" {
		t.Errorf("granted %d, refused %q", f.RecvBuffer, f.RecvBufferRefused)
	}
}

func TestTrainsOff(t *testing.T) {
	cfg := loConfig(t)
	a := mustOpen(t, cfg)
	cfg.Trains = Off
	b := mustOpen(t, cfg)
	if f := b.Features(); f.GSO.On || f.GRO.On || f.GSO.Why == "" {
		t.Errorf("GSO %v, GRO %v: want off", f.GSO, f.GRO)
	}
	for _, pair := range [][2]*Conn{{a, b}, {b, a}} {
		mustSend(t, pair[0], pattern(10*1000, 1000))
		if _, _, err := gather(pair[1], pair[1].RecvMulticast, 10); err != nil {
			t.Error(err)
		}
	}
}

// A train refused while running shows in the features, and its packets go.
func TestTrainsGoOffWhileRunning(t *testing.T) {
	cfg := loConfig(t)
	a, b := mustOpen(t, cfg), mustOpen(t, cfg)
	if !a.Features().GSO.On {
		t.Skip("no trains here: ", a.Features().GSO)
	}
	// The kernel refuses trains on a socket that sends no checksums.
	fd := a.link.(*socketLink).unicast
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
		t.Fatal(err)
	}
	mustSend(t, a, pattern(10*1000+1, 1000))
	if _, _, err := gather(b, b.RecvMulticast, 11); err != nil {
		t.Error(err)
	}
	if f := a.Features().GSO; f.On || !strings.Contains(f.Why, "refused while running") {
		t.Errorf("GSO is %v", f)
	}
}

func TestOtherGroupsAreNotHeard(t *testing.T) {
	cfg := loConfig(t)
	a := mustOpen(t, cfg)
	// The port is the same, so only the group tells them apart.
	cfg.Group = netip.AddrPortFrom(cfg.Group.Addr().Next(), cfg.Group.Port())
	b := mustOpen(t, cfg)
	mustSend(t, b, pattern(10, 10))
	if err := a.Wait(20 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n, err := a.RecvMulticast(buffers(1)); n != 0 || err != nil {
		t.Errorf("got %d trains: %v", n, err)
	}
}

func TestSelfTestFails(t *testing.T) {
	a, b := mustOpen(t, loConfig(t)), mustOpen(t, loConfig(t))
	from := a.link.(*socketLink).unicast
	if err := testTrains(from, b.Addr(), 1400, true); err == nil || !strings.Contains(err.Error(), "0 of") {
		t.Errorf("a train that went elsewhere passed the self-test: %v", err)
	}
}

// Own packets that the filter refuses are not drops, and what the buffer had no
// room for is.
func TestDropsAreOthersOnly(t *testing.T) {
	for _, trains := range []Trains{Auto, Off} {
		cfg := loConfig(t)
		cfg.Trains = trains
		fast := mustOpen(t, cfg)
		cfg.RecvBuffer = 1 << 15
		slow := mustOpen(t, cfg)
		const each, packetsEach = 50, 10
		for range each {
			mustSend(t, fast, pattern(packetsEach*100, 100))
			mustSend(t, slow, pattern(packetsEach*100, 100))
		}
		came, in := 0, buffers(64)
		if n, err := slow.RecvMulticast(in); err == nil {
			came = len(packets(in[:n]))
		}
		mustSend(t, fast, pattern(1, 1)) // the kernel tells with the next packet
		if _, _, err := gather(slow, slow.RecvMulticast, 1); err != nil {
			t.Fatal(err)
		}
		lost := uint64(each*packetsEach - came)
		if trains == Auto && slow.Features().GSO.On {
			lost /= packetsEach // a train counts as one
		}
		if slow.Drops() != lost || lost == 0 {
			t.Errorf("trains %v: %d drops, want %d and more than 0", trains, slow.Drops(), lost)
		}
		if _, _, err := gather(fast, fast.RecvMulticast, each*packetsEach); err != nil || fast.Drops() != 0 {
			t.Errorf("trains %v: the fast one has %d drops, want 0: %v", trains, fast.Drops(), err)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestCloseLeavesNoFile(t *testing.T) {
	for name, openLink := range openers {
		mustOpenLink(t, loConfig(t), openLink).Close() // opens what the runtime keeps
		before := openFiles(t)
		for range 20 {
			if err := mustOpenLink(t, loConfig(t), openLink).Close(); err != nil {
				t.Fatal(err)
			}
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d files open, %d before", name, after, before)
		}
	}
}

func TestFailedOpenLeavesNoFile(t *testing.T) {
	lo, err := findInterface("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	notOurs := lo
	notOurs.addr = netip.MustParseAddr("192.0.2.1")
	cfg := loConfig(t)
	taken, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(taken)
	if err := unix.Bind(taken, &unix.SockaddrInet4{Port: int(cfg.Group.Port())}); err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]nic{"address that is not ours": notOurs, "port that is taken": lo} {
		before := openFiles(t)
		l, err := openLink(cfg, n)
		if err == nil {
			_ = l.Close()
			t.Errorf("%s: no error", what)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d files open, %d before", what, after, before)
		}
	}
}

func TestNapIsShort(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := mustOpen(t, loConfig(t))
	if err := c.PrepareThread(); err != nil {
		t.Fatal(err)
	}
	best := time.Hour
	for range 50 {
		start := time.Now()
		c.Nap(50 * time.Microsecond)
		best = min(best, time.Since(start))
	}
	if best < 50*time.Microsecond || best > 5*time.Millisecond {
		t.Errorf("the best nap of 50 µs took %v", best)
	}
}

func TestLoopAllocatesNothing(t *testing.T) {
	cfg := loConfig(t)
	a, b := mustOpen(t, cfg), mustOpen(t, cfg)
	out, whole, in := []batch.Train{pattern(40*1400+5, 1400)}, buffers(8), buffers(8)
	allocs := testing.AllocsPerRun(200, func() {
		out[0].To = nil
		if _, err := a.Send(out); err != nil {
			t.Error(err)
		}
		if err := b.Wait(time.Second); err != nil {
			t.Error(err)
		}
		copy(in, whole)
		if _, err := b.RecvMulticast(in); err != nil {
			t.Error(err)
		}
		copy(in, whole)
		if _, err := b.RecvUnicast(in); err != nil {
			t.Error(err)
		}
		if err := b.Wake(); err != nil {
			t.Error(err)
		}
		if err := b.Wait(-1); err != nil {
			t.Error(err)
		}
		if err := a.WaitWritable(0); err != nil {
			t.Error(err)
		}
		b.Nap(time.Nanosecond)
		_ = b.Drops()
	})
	if allocs != 0 {
		t.Errorf("%v allocations a turn, want 0", allocs)
	}
}
