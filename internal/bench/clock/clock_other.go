//go:build !linux

package clock

import "time"

// common returns the wall clock's time of base: processes agree as far as
// nobody sets the clock while they start.
func common(base time.Time) int64 { return base.UnixNano() }

// PrepareThread does nothing on this system.
func PrepareThread() error { return nil }

// SleepUntil returns at time t, or as late after it as the runtime's timers are.
func SleepUntil(t int64) { time.Sleep(time.Duration(t - Now())) }
