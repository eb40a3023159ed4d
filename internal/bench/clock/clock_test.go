//go:build linux

package clock

import (
	"runtime"
	"testing"
	"time"
)

func TestNowIsTheKernelsMonotonicClock(t *testing.T) {
	for range 100 {
		before := monotonic()
		now := Now()
		after := monotonic()
		if now < before-50_000 || now > after+50_000 {
			t.Fatalf("Now() = %d, not between the kernel's %d and %d (50 µs allowed)", now, before, after)
		}
	}
}

func TestSleepUntil(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := PrepareThread(); err != nil {
		t.Fatal(err)
	}
	best := time.Hour
	for range 50 {
		due := Now() + 200_000
		SleepUntil(due)
		late := time.Duration(Now() - due)
		if late < 0 {
			t.Fatalf("woke %v early", -late)
		}
		best = min(best, late)
	}
	if best > 300*time.Microsecond {
		t.Errorf("of 50 sleeps the best ended %v late, want less than 300 µs", best)
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
