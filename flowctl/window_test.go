package flowctl

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestWindowsFitTheBudget: however many of the members send, what they may have
// in flight together, and a packet of each that is silent, fits the smallest
// receive buffer with a fifth to spare.
func TestWindowsFitTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "n")
		budget := rapid.IntRange(0, math.MaxInt32).Draw(t, "budget")
		active := rapid.IntRange(1, n).Draw(t, "active")
		size := rapid.IntRange(1, 65_507).Draw(t, "size")
		charge := Charge(size, true)
		w := NewWindow(budget, n)
		if sum := active * w.Limit(active); sum > budget/5*4 {
			t.Fatalf("%d of %d members may have %d bytes in flight, the budget is %d", active, n, sum, budget)
		}
		limit := w.share
		w.Sent(0, charge)
		if rapid.Bool().Draw(t, "under way") {
			w.Sent(0, charge)
			w.Acked(charge)
			w.Begun()
			limit = w.Limit(active)
		}
		packets := 1
		for ; w.Room(0, size, size, active) != 0; packets++ {
			w.Sent(0, charge)
		}
		if w.InFlight() != packets*charge {
			t.Fatalf("%d bytes in flight, want %d packets of %d", w.InFlight(), packets, charge)
		}
		if want := min(max(limit/charge, 1), MaxPackets); packets != want {
			t.Fatalf("%d packets of %d bytes in flight, want %d: the limit is %d", packets, charge, want, limit)
		}
	})
}

// TestSends: from a packet on, for ActiveFor.
func TestSends(t *testing.T) {
	w := NewWindow(1<<20, 3)
	if w.Sends(0) {
		t.Error("it sends before its first packet")
	}
	if w.Sent(5, 100); !w.Sends(5) || !w.Sends(4+ActiveFor) || w.Sends(5+ActiveFor) {
		t.Errorf("%v, %v, %v: want true, true, false", w.Sends(5), w.Sends(4+ActiveFor), w.Sends(5+ActiveFor))
	}
}

// TestRoomIsWhatFits: a packet between two sizes is as large as the window allows, and not a
// byte larger.
func TestRoomIsWhatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := NewWindow(rapid.IntRange(0, 1<<20).Draw(t, "budget"), rapid.IntRange(1, 8).Draw(t, "n"))
		least := rapid.IntRange(1, 65_507).Draw(t, "least")
		most := rapid.IntRange(least, 65_507).Draw(t, "most")
		for range rapid.IntRange(0, 5).Draw(t, "packets") { // none has arrived: the share is all there is
			w.Sent(0, rapid.IntRange(1, 80_000).Draw(t, "charge"))
		}
		left := w.share - w.inflight
		switch got := w.Room(0, least, most, 1); {
		case got == 0:
			if w.packets == 0 || Charge(least, true) <= left {
				t.Fatalf("no room for %d bytes beside %d packets, of the window %d are left", least, w.packets, left)
			}
		case got < least || got > most:
			t.Fatalf("room for %d bytes, want %d to %d", got, least, most)
		case Charge(got, true) > left && (w.packets > 0 || got > least):
			t.Fatalf("room for %d bytes, which are charged %d, of the window %d are left", got, Charge(got, true), left)
		case got < most && Charge(got+1, true) <= left:
			t.Fatalf("room for %d bytes, and one more fits %d", got, left)
		}
	})
}

func TestTooSmallAWindowLetsOnePacketThrough(t *testing.T) {
	for _, budget := range []int{0, 1, 100} {
		w := NewWindow(budget, 3)
		if w.Room(0, 2000, 4000, 3) != 2000 {
			t.Fatalf("budget %d: nothing can ever be sent", budget)
		}
		w.Sent(0, Charge(2000, true))
		if w.Room(0, 1, 4000, 3) != 0 {
			t.Errorf("budget %d: a second packet may follow the first", budget)
		}
		w.Acked(Charge(2000, true))
		if w.InFlight() != 0 || w.Room(0, 2000, 2000, 3) == 0 {
			t.Errorf("budget %d: closed with %d bytes in flight", budget, w.InFlight())
		}
	}
}

// tenThousand is the size of a packet that is charged 10,000 bytes.
var tenThousand = fits(10_000)

// fill sends packets that are charged 10,000 bytes until the window closes, and returns how
// many are in flight.
func fill(now int64, w *Window, active int) int {
	for w.Room(now, tenThousand, tenThousand, active) != 0 {
		w.Sent(now, 10_000)
	}
	return w.InFlight() / 10_000
}

// TestAWindowOpensAndShrinks: a member that begins keeps to its own part until
// something has arrived, and what the others had sent by then; then it may use what the others leave; then others
// become active, and it is closed until enough has arrived.
func TestAWindowOpensAndShrinks(t *testing.T) {
	w := NewWindow(1_000_000, 4)
	if got := fill(0, w, 1); got != 5 { // 50,000 of its own
		t.Errorf("at the start: %d packets, want 5", got)
	}
	w.Acked(10_000)
	if got := fill(0, w, 1); got != 5 || !w.Known() {
		t.Errorf("known to all, which is %t: %d packets, want 5", w.Known(), got)
	}
	w.Begun()
	if got := fill(0, w, 1); got != 65 { // and the 600,000 that are shared
		t.Errorf("alone: %d packets, want 65", got)
	}
	if w.Room(0, tenThousand, tenThousand, 4) != 0 {
		t.Error("four are active and the window is still open")
	}
	for w.InFlight() > 190_000 {
		w.Acked(10_000)
	}
	if got := fill(0, w, 4); got != 20 { // 50,000 and a fourth of 600,000
		t.Errorf("one of four: %d packets, want 20", got)
	}
	for w.InFlight() > 0 {
		w.Acked(10_000)
	}
	if got := fill(ActiveFor/2, w, 1); got != 65 {
		t.Errorf("after a short rest: %d packets, want 65", got)
	}
	for w.InFlight() > 0 {
		w.Acked(10_000)
	}
	if got := fill(ActiveFor+1, w, 1); got != 5 {
		t.Errorf("at the start of the next burst: %d packets, want 5", got)
	}
}

// TestABeginningAsksOnce: when its window is closed, and nothing but an arrival opens it; and
// once more when something has arrived.
func TestABeginningAsksOnce(t *testing.T) {
	w := NewWindow(1_000_000, 4) // 50,000 of its own
	for i := range 5 {
		if w.Asks(tenThousand) {
			t.Errorf("asks with %d packets of 5 in flight", i)
		}
		w.Sent(0, 10_000)
	}
	if !w.Asks(tenThousand) || w.Asks(tenThousand) {
		t.Error("does not ask once when the window is closed")
	}
	w.Acked(10_000)
	if fill(0, w, 1); !w.Asks(tenThousand) || w.Asks(tenThousand) {
		t.Error("does not ask once when all know that it sends, and it is closed")
	}
	w.Begun()
	if fill(0, w, 1); w.Asks(tenThousand) {
		t.Errorf("asks when the beginning is over, %d bytes in flight", w.InFlight())
	}
	for w.InFlight() > 0 {
		w.Acked(10_000)
	}
	if fill(ActiveFor, w, 1); !w.Asks(tenThousand) {
		t.Error("does not ask in the next beginning")
	}
	w = NewWindow(math.MaxInt32, 1)
	for range MaxPackets {
		w.Sent(0, 832)
	}
	if !w.Asks(64) {
		t.Error("does not ask when there may be no more packets, however small")
	}
}

// TestAllMayBeginAtOnce: nobody has heard of anybody yet, and it fits all the same.
func TestAllMayBeginAtOnce(t *testing.T) {
	for n := 1; n <= 64; n++ {
		if sum := n * fill(0, NewWindow(8<<20, n), 1) * 10_000; sum > 8<<20/5*4 {
			t.Errorf("%d members may have %d bytes in flight", n, sum)
		}
	}
}

// TestChargeIsWhatTheKernelCounts holds Charge to what was measured on Linux
// 6.18: never less, and not much more.
func TestChargeIsWhatTheKernelCounts(t *testing.T) {
	type measure struct{ size, got, measured int }
	const packets, segment = 46, 1424 // a train of 64 KiB
	train := Charge(segment, true)
	for range packets - 1 {
		train += Charge(segment, false)
	}
	of := []measure{{packets * segment, train, 71_000}}
	for _, d := range [][2]int{
		{0, 832}, {64, 832}, {197, 832}, {198, 1280}, {645, 1280}, {646, 2304}, {1400, 2304}, {1669, 2304}, {1670, 4352}, {3717, 4352},
		{3718, 8448}, {7813, 8448}, {7814, 16_640}, {8384, 16_640}, {16_005, 16_837}, {20_000, 20_832}, {65_472, 66_304}, {65_507, 66_339},
	} {
		of = append(of, measure{d[0], Charge(d[0], true), d[1]})
	}
	for _, c := range of {
		if c.got < c.measured || c.got > c.measured*5/4 {
			t.Errorf("%d bytes: charged %d, measured %d", c.size, c.got, c.measured)
		}
	}
}

// TestFitsIsTheLargest: what fits is charged no more than it may be, and a byte more is.
func TestFitsIsTheLargest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		charge := rapid.IntRange(-1, 80_000).Draw(t, "charge")
		n := fits(charge)
		if n >= 0 && Charge(n, true) > charge {
			t.Errorf("%d bytes are charged %d, which is more than %d", n, Charge(n, true), charge)
		}
		if Charge(max(n+1, 0), true) <= charge {
			t.Errorf("%d bytes fit %d, and fits says %d", n+1, charge, n)
		}
	})
}
