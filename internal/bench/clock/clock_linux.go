package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// common returns what must be added to the time since base to get
// CLOCK_MONOTONIC, which is the clock that package time runs on: of several
// readings the one that took least.
func common(base time.Time) int64 {
	best, offset := time.Duration(Never), int64(0)
	for range 16 {
		before := time.Since(base)
		now := monotonic()
		after := time.Since(base)
		if after-before < best {
			best, offset = after-before, now-int64(before+after)/2
		}
	}
	return offset
}

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(fmt.Sprintf("clock: CLOCK_MONOTONIC: %v", err)) // exists since Linux 2.6
	}
	return ts.Nano()
}

// PrepareThread makes sleeps of the calling thread exact: the kernel otherwise
// lets them end up to 50 µs late. Lock the goroutine to its thread first.
func PrepareThread() error {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// SleepUntil returns at time t or shortly after. It asks the kernel itself: the
// runtime's own timers end up to half a millisecond late.
func SleepUntil(t int64) {
	ts := unix.NsecToTimespec(t)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}
