package member

import (
	"testing"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/load"
	"cohort/order"
)

func newTestPhase(level string, kind Kind, self int) *phase {
	l, err := order.Parse(level)
	if err != nil {
		panic(err)
	}
	cfg := check.Config{Members: 3, Level: l, Keep: 1 << 10}
	row := Row{Number: 1, Level: level, Size: 64, Members: 3, Senders: 2, Self: self}
	return newPhase(row, Phase{Kind: kind}, check.NewLog(cfg), load.NewPast(3))
}

func message(s load.Stamp) []byte {
	b := make([]byte, 64)
	s.Put(b)
	return b
}

func TestPhaseEndsWithTheLastOfEachSender(t *testing.T) {
	p := newTestPhase("fbcast", Flood, 2)
	p.deliver(0, message(load.Stamp{Seq: 1, Row: 1, Last: true}))
	select {
	case <-p.done:
		t.Fatal("over after the first of two senders")
	default:
	}
	p.deliver(1, message(load.Stamp{Seq: 1, Row: 1, Sender: 1, Last: true}))
	select {
	case <-p.done:
	default:
		t.Fatal("not over after both senders' last messages")
	}
	if p.count != 2 || p.first == 0 || p.last < p.first || p.log.Breach() != nil {
		t.Errorf("%d deliveries from %d to %d, breach %v", p.count, p.first, p.last, p.log.Breach())
	}
}

// TestWarmUpIsNotMeasured: what came in the warm-up is checked and counted, and neither its
// time nor its processor time is taken for that of the rest.
func TestWarmUpIsNotMeasured(t *testing.T) {
	const before, after = 3 * (floodMask + 1), 2 * (floodMask + 1)
	p := newTestPhase("fbcast", Flood, 2)
	p.warm = 20 * time.Millisecond
	deliver := func(first, last uint64) {
		for seq := first; seq <= last; seq++ {
			p.deliver(0, message(load.Stamp{Seq: seq, Row: 1, Last: seq == before+after}))
		}
	}
	deliver(1, before-1)
	began := p.first
	for start := time.Now(); time.Since(start) < p.warm; { // processor time of this process
	}
	deliver(before, before+after)
	if p.count != before+after || p.warming != before || p.log.Count(0) != before+after || p.log.Breach() != nil {
		t.Errorf("%d deliveries, %d of them in the warm-up, want %d and %d; breach %v", p.count, p.warming, before+after, before, p.log.Breach())
	}
	if p.first-began < int64(20*time.Millisecond) || p.until() < p.first || p.until()-p.first > int64(10*time.Millisecond) {
		t.Errorf("measured from %v to %v after the first delivery", time.Duration(p.first-began), time.Duration(p.until()-began))
	}
	if used := p.warmed.CPU(); used < 15*time.Millisecond {
		t.Errorf("the process has taken %v when the warm-up is over", used)
	}
}

func TestPhaseNoticesStrays(t *testing.T) {
	for _, c := range []struct {
		from int
		b    []byte
		want check.Kind
	}{
		{0, message(load.Stamp{Seq: 1, Row: 7}), check.Stale},
		{1, message(load.Stamp{Seq: 1, Row: 1}), check.Misattributed},
		{0, message(load.Stamp{Seq: 1, Row: 1})[:63], check.Mangled},
		{0, nil, check.Mangled},
	} {
		p := newTestPhase("abcast", Flood, 2)
		p.deliver(c.from, c.b)
		if b := p.log.Breach(); b == nil || b.Kind != c.want {
			t.Errorf("breach %v, want %s", b, c.want)
		}
	}
}

func TestOwnMessagesHaveNoLatency(t *testing.T) {
	p := newTestPhase("fbcast", Paced, 0)
	p.deliver(0, message(load.Stamp{Seq: 1, Row: 1}))
	p.deliver(1, message(load.Stamp{Seq: 1, Row: 1, Sender: 1}))
	if n := p.hist.TotalCount(); n != 1 {
		t.Errorf("%d latencies recorded, want 1", n)
	}
}

func BenchmarkDeliver(b *testing.B) {
	p := newTestPhase("abcast", Flood, 2)
	m := load.Stamp{Row: 1}
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if m.Seq++; m.Seq == 1<<25 {
			m.Seq = 1
			p = newTestPhase("abcast", Flood, 2)
		}
		m.Put(buf)
		p.deliver(0, buf)
	}
}

// TestFloodWithoutItsLastMessage: raw may lose that, and what came has a rate nevertheless.
func TestFloodWithoutItsLastMessage(t *testing.T) {
	for _, n := range []uint64{2, 20, 40} {
		p := newTestPhase("fbcast", Flood, 2)
		for seq := range n {
			p.deliver(0, message(load.Stamp{Seq: seq + 1, Row: 1}))
		}
		if until := p.until(); p.count != n || p.last < p.first || until < p.last || p.first == 0 {
			t.Errorf("%d of %d deliveries from %d to %d, the last time read at %d", p.count, n, p.first, until, p.last)
		}
	}
	p := &phase{count: 50, timed: 40, first: 1000, last: 5000}
	if got := p.until(); got != 6000 {
		t.Errorf("40 deliveries from 1000 to 5000, and then 10: until %d, want 6000", got)
	}
}
