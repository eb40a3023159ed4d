package raw

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/iomulticast"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter counts what one member was delivered.
type counter struct {
	t        *testing.T
	size     int
	seq      [3]uint64 // of each sender, the last; belongs to the loop
	lossy    bool
	rest     atomic.Int64 // before the next message is taken, ns
	received atomic.Int64
	lasts    atomic.Int64
}

func (c *counter) sink(from int, m []byte) {
	if !load.Whole(m) || load.From(m) != from || len(m) != c.size {
		c.t.Errorf("member %d's message of %d bytes is not what it sent", from, len(m))
		return
	}
	if seq := load.Seq(m); seq != c.seq[from]+1 && !c.lossy {
		c.t.Errorf("message %d of member %d after %d", seq, from, c.seq[from])
	}
	c.seq[from] = load.Seq(m)
	time.Sleep(time.Duration(c.rest.Swap(0)))
	c.received.Add(1)
	if load.Last(m) {
		c.lasts.Add(1)
	}
}

func randomGroup() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 254, byte(rand.IntN(256)), byte(rand.IntN(256))}), uint16(10000+rand.IntN(10000)))
}

// open opens three members on lo and begins a row on them.
func open(t *testing.T, row member.Row, cfg iomulticast.Config) ([]*Medium, []*counter) {
	t.Helper()
	cfg.Interface, cfg.Group = "lo", randomGroup()
	var ms []*Medium
	var cs []*counter
	for i := range 3 {
		c := &counter{t: t, size: row.Size, lossy: cfg.Faults.Loss > 0}
		m, err := Open(cfg, 77, c.sink)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if err := m.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
		row.Self = i
		if err := m.Begin(row); err != nil {
			t.Fatal(err)
		}
		ms, cs = append(ms, m), append(cs, c)
	}
	return ms, cs
}

// send has the row's senders send sources, and returns how many messages that were.
func send(t *testing.T, ms []*Medium, row member.Row, source func(load.Sender) *load.Source) (sent int64) {
	t.Helper()
	var wg sync.WaitGroup
	var total atomic.Int64
	for i := range row.Senders {
		src := source(load.Sender{Rank: i, Row: row.Number, Size: row.Size, Senders: row.Senders})
		wg.Go(func() {
			if err := ms[i].Send(t.Context(), src); err != nil {
				t.Errorf("member %d: %v", i, err)
			}
			total.Add(int64(src.Sent()))
		})
	}
	wg.Wait()
	return total.Load()
}

func flood(d time.Duration) func(load.Sender) *load.Source {
	return func(s load.Sender) *load.Source {
		src := load.NewFlood(s)
		time.AfterFunc(d, src.Stop)
		return src
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func TestFloodArrivesWhole(t *testing.T) {
	for _, size := range []int{load.MinSize, 1024, 8192, 100_000, 3 << 20} {
		for _, senders := range []int{1, 3} {
			for _, cfg := range []iomulticast.Config{{Segment: 1472}, {}, {Segment: 1472, RecvBuffer: smallBuffer}, {RecvBuffer: smallBuffer}} {
				t.Run(fmt.Sprintf("%d B from %d, segment %d, buffer %d", size, senders, cfg.Segment, cfg.RecvBuffer), func(t *testing.T) {
					floodArrivesWhole(t, member.Row{Number: 5, Size: size, Members: 3, Senders: senders}, cfg)
				})
			}
		}
	}
}

// smallBuffer is what Linux gives an ordinary user where nobody has allowed more, bytes of
// kernel memory.
const smallBuffer = 425_984

func floodArrivesWhole(t *testing.T, row member.Row, cfg iomulticast.Config) {
	ms, cs := open(t, row, cfg)
	sent := send(t, ms, row, flood(50*time.Millisecond))
	for i, c := range cs {
		eventually(t, "last messages", func() bool { return c.lasts.Load() == int64(row.Senders) })
		if n := c.received.Load(); n != sent {
			t.Errorf("member %d got %d of %d messages", i, n, sent)
		}
		if d := ms[i].Losses().Dropped; d != 0 {
			t.Errorf("member %d dropped %d packets", i, d)
		}
	}
}

// TestWhoDoesNotRunIsNotOverrun: nothing is dropped at a receiver that does not run for a while,
// however long it is not heard of.
func TestWhoDoesNotRunIsNotOverrun(t *testing.T) {
	for _, cfg := range []iomulticast.Config{{Segment: 1472}, {}, {RecvBuffer: smallBuffer}} {
		row := member.Row{Number: 5, Size: 8192, Members: 3, Senders: 1}
		ms, cs := open(t, row, cfg)
		cs[1].rest.Store(int64(8 * stall))
		sent := send(t, ms, row, flood(10*stall))
		eventually(t, "last message", func() bool { return cs[1].lasts.Load() == 1 })
		if n, d := cs[1].received.Load(), ms[1].Losses().Dropped; n != sent || d != 0 {
			t.Errorf("segment %d, buffer %d: got %d of %d messages, %d packets were dropped", cfg.Segment, cfg.RecvBuffer, n, sent, d)
		}
	}
}

// TestWindowIsOpenAfterAFlood: what receivers tell when all has been sent counts for the next
// phase, which would else begin with waiting for as long as after a loss.
func TestWindowIsOpenAfterAFlood(t *testing.T) {
	row := member.Row{Number: 1, Level: member.Raw, Size: 8192, Members: 3, Senders: 1}
	ms, cs := open(t, row, iomulticast.Config{})
	for i, c := range cs {
		if err := ms[i].do(func() { c.lossy = true }); err != nil { // each flood begins with message 1
			t.Fatal(err)
		}
	}
	for range 10 {
		send(t, ms, row, flood(10*time.Millisecond))
		eventually(t, "the window is open", func() (open bool) {
			if err := ms[0].do(func() { open = ms[0].out.next-slices.Min(ms[0].out.acked) < max(ms[0].out.window/4, 1) }); err != nil {
				t.Fatal(err)
			}
			return open
		})
	}
}

// TestFanOutArrivesWhole: data goes to each other member by unicast.
func TestFanOutArrivesWhole(t *testing.T) {
	for _, senders := range []int{1, 3} {
		row := member.Row{Number: 5, Size: 8192, Members: 3, Senders: senders}
		ms, cs := open(t, row, iomulticast.Config{})
		for _, m := range ms {
			row.Addrs = append(row.Addrs, m.Addr().String())
		}
		for i, m := range ms {
			row.Self = i
			if err := m.Begin(row); err != nil {
				t.Fatal(err)
			}
		}
		sent := send(t, ms, row, flood(50*time.Millisecond))
		for i, c := range cs {
			eventually(t, "last messages", func() bool { return c.lasts.Load() == int64(senders) })
			if n := c.received.Load(); n != sent {
				t.Errorf("%d senders: member %d got %d of %d messages", senders, i, n, sent)
			}
			if d := ms[i].Losses().Dropped; d != 0 {
				t.Errorf("%d senders: member %d dropped %d packets", senders, i, d)
			}
		}
		for i, m := range ms {
			var others []netip.AddrPort
			if err := m.do(func() {
				for _, a := range m.out.others {
					others = append(others, a.AddrPort())
				}
			}); err != nil {
				t.Fatal(err)
			}
			if len(others) != 2 || slices.Contains(others, m.Addr()) {
				t.Errorf("member %d at %v sends to %v, want the two others", i, m.Addr(), others)
			}
		}
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	ms, _ := open(t, member.Row{Number: 1, Size: 64, Members: 3, Senders: 1}, iomulticast.Config{})
	err := ms[0].Begin(member.Row{Number: 2, Size: 64, Members: 3, Senders: 1, Addrs: []string{"", "here", ""}})
	if err == nil || !strings.Contains(err.Error(), "member 0") {
		t.Errorf("error %v", err)
	}
}

func TestPacedIsSentWhenDue(t *testing.T) {
	row := member.Row{Number: 1, Size: 64, Members: 3, Senders: 3}
	ms, cs := open(t, row, iomulticast.Config{})
	began := time.Now()
	sent := send(t, ms, row, func(s load.Sender) *load.Source {
		return load.NewPaced(s, clock.Now(), time.Millisecond, 100)
	})
	if took := time.Since(began); sent != 300 || took < 99*time.Millisecond {
		t.Errorf("%d messages in %v, want 300 in 99 ms", sent, took)
	}
	for _, c := range cs {
		eventually(t, "all messages", func() bool { return c.received.Load() == sent })
	}
}

func TestLossDoesNotStopTheFlood(t *testing.T) {
	row := member.Row{Number: 1, Size: 4000, Members: 3, Senders: 3}
	ms, _ := open(t, row, iomulticast.Config{Segment: 1472, Faults: iomulticast.Faults{Loss: 0.2, Seed: 1}})
	if sent := send(t, ms, row, flood(100*time.Millisecond)); sent < 100 { // some ten windows of the smallest
		t.Errorf("sent only %d messages", sent)
	}
}

func TestOtherRowsAreIgnored(t *testing.T) {
	row := member.Row{Number: 1, Size: 64, Members: 3, Senders: 1}
	ms, cs := open(t, row, iomulticast.Config{})
	other := row
	other.Number, other.Self = 2, 1
	if err := ms[1].Begin(other); err != nil {
		t.Fatal(err)
	}
	sent := send(t, ms, row, flood(10*time.Millisecond))
	eventually(t, "all at the member that is in the row", func() bool { return cs[2].received.Load() == sent })
	if n := cs[1].received.Load(); n != 0 {
		t.Errorf("a member in another row got %d messages", n)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	row := member.Row{Number: 1, Size: 64, Members: 3, Senders: 1}
	ms, _ := open(t, row, iomulticast.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := ms[0].Send(ctx, load.NewPaced(load.Sender{Row: 1, Size: 64, Senders: 1}, clock.Now()+int64(time.Hour), 0, 1))
	if err != context.DeadlineExceeded {
		t.Errorf("error %v", err)
	}
}

func TestClosedMediumSaysSo(t *testing.T) {
	ms, _ := open(t, member.Row{Number: 1, Size: 64, Members: 3, Senders: 1}, iomulticast.Config{})
	if err := ms[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := ms[0].Begin(member.Row{Members: 3, Senders: 1}); err == nil {
		t.Error("began a row")
	}
	if err := ms[0].Send(t.Context(), load.NewFlood(load.Sender{Size: 64, Senders: 1})); err == nil {
		t.Error("sent")
	}
	_ = ms[0].Losses()
}

// BenchmarkFlood counts a message of one member at two others, all in this process.
func BenchmarkFlood(b *testing.B) {
	for _, size := range []int{64, 1024, 8192} {
		b.Run(fmt.Sprintf("%d B", size), func(b *testing.B) {
			cfg := iomulticast.Config{Interface: "lo", Group: randomGroup()}
			row := member.Row{Number: 1, Size: size, Members: 3, Senders: 1}
			var got [3]atomic.Int64
			var ms []*Medium
			for i := range 3 {
				m, err := Open(cfg, 77, func(_ int, m []byte) {
					if load.Last(m) {
						got[i].Add(1)
					}
				})
				if err != nil {
					b.Fatal(err)
				}
				defer m.Close()
				row.Self = i
				if err := m.Begin(row); err != nil {
					b.Fatal(err)
				}
				ms = append(ms, m)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			src := load.NewPaced(load.Sender{Row: 1, Size: size, Senders: 1}, 0, 0, b.N)
			if err := ms[0].Send(b.Context(), src); err != nil {
				b.Fatal(err)
			}
			for i := range got {
				for got[i].Load() == 0 {
					time.Sleep(10 * time.Microsecond)
				}
			}
		})
	}
}
