//go:build unix

package kernel

import (
	"time"

	"golang.org/x/sys/unix"
)

// Self returns what this process has taken so far; nothing if the system does not tell.
func Self() Usage {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return Usage{}
	}
	return Usage{
		User: time.Duration(u.Utime.Nano()), System: time.Duration(u.Stime.Nano()),
		Voluntary: int64(u.Nvcsw), Involuntary: int64(u.Nivcsw),
	}
}
