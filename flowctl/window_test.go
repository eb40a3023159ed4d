package flowctl

import (
	"testing"

	"pgregory.net/rapid"
)

// TestWindowsFitTheBudget: however many of the members send, what they may have
// in flight together, and a packet of each that is silent, fits the smallest
// receive buffer with a fifth to spare.
func TestWindowsFitTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "n")
		budget := rapid.IntRange(0, 1<<32-1).Draw(t, "budget")
		active := rapid.IntRange(1, n).Draw(t, "active")
		charge := rapid.IntRange(1, 80_000).Draw(t, "charge")
		w := NewWindow(budget, n)
		if sum := active * w.Limit(active); sum > budget/5*4 {
			t.Fatalf("%d of %d members may have %d bytes in flight, the budget is %d", active, n, sum, budget)
		}
		limit := w.share
		w.Sent(charge)
		if rapid.Bool().Draw(t, "under way") {
			w.Sent(charge)
			w.Acked(charge)
			limit = w.Limit(active)
		}
		packets := 1
		for ; w.Open(charge, active); packets++ {
			w.Sent(charge)
		}
		if w.InFlight() != packets*charge {
			t.Fatalf("%d bytes in flight, want %d packets of %d", w.InFlight(), packets, charge)
		}
		if want := min(max(limit/charge, 1), MaxPackets); packets != want {
			t.Fatalf("%d packets of %d bytes in flight, want %d: the limit is %d", packets, charge, want, limit)
		}
	})
}

func TestTooSmallAWindowLetsOnePacketThrough(t *testing.T) {
	for _, budget := range []int{0, 1, 100} {
		w := NewWindow(budget, 3)
		if !w.Open(2000, 3) {
			t.Fatalf("budget %d: nothing can ever be sent", budget)
		}
		w.Sent(2000)
		if w.Open(1, 3) {
			t.Errorf("budget %d: a second packet may follow the first", budget)
		}
		w.Acked(2000)
		if w.InFlight() != 0 || !w.Open(2000, 3) {
			t.Errorf("budget %d: closed with %d bytes in flight", budget, w.InFlight())
		}
	}
}

// fill sends packets of 10,000 bytes until the window closes, and returns how
// many are in flight.
func fill(w *Window, active int) int {
	for w.Open(10_000, active) {
		w.Sent(10_000)
	}
	return w.InFlight() / 10_000
}

// TestAWindowOpensAndShrinks: a member that begins keeps to its own part until
// something has arrived; then it may use what the others leave; then others
// become active, and it is closed until enough has arrived.
func TestAWindowOpensAndShrinks(t *testing.T) {
	w := NewWindow(1_000_000, 4)
	if got := fill(w, 1); got != 10 { // 100,000 of its own
		t.Errorf("at the start: %d packets, want 10", got)
	}
	w.Acked(10_000)
	if got := fill(w, 1); got != 50 { // and the 400,000 that are shared
		t.Errorf("alone: %d packets, want 50", got)
	}
	if w.Open(10_000, 4) {
		t.Error("four are active and the window is still open")
	}
	for w.InFlight() > 190_000 {
		w.Acked(10_000)
	}
	if got := fill(w, 4); got != 20 { // 100,000 and a fourth of 400,000
		t.Errorf("one of four: %d packets, want 20", got)
	}
	for w.InFlight() > 0 {
		w.Acked(10_000)
	}
	if got := fill(w, 1); got != 10 {
		t.Errorf("at the start of the next burst: %d packets, want 10", got)
	}
}

// TestAllMayBeginAtOnce: nobody has heard of anybody yet, and it fits all the same.
func TestAllMayBeginAtOnce(t *testing.T) {
	for n := 1; n <= 64; n++ {
		if sum := n * fill(NewWindow(8<<20, n), 1) * 10_000; sum > 8<<20/5*4 {
			t.Errorf("%d members may have %d bytes in flight", n, sum)
		}
	}
}

// TestChargeIsWhatTheKernelCounts holds Charge to what was measured on Linux
// 6.18: never less, and not much more.
func TestChargeIsWhatTheKernelCounts(t *testing.T) {
	const packets, segment = 46, 1424 // a train of 64 KiB
	train := Charge(segment, true)
	for range packets - 1 {
		train += Charge(segment, false)
	}
	for _, c := range []struct {
		what          string
		got, measured int
	}{{"64 B alone", Charge(64, true), 832}, {"1400 B alone", Charge(1400, true), 2304}, {"a train of 64 KiB", train, 71_000}} {
		if c.got < c.measured || c.got > c.measured*5/4 {
			t.Errorf("%s: charged %d bytes, measured %d", c.what, c.got, c.measured)
		}
	}
}
