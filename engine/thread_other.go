//go:build !linux

package engine

// threadID tells the loop's goroutine from all others.
func threadID() uint64 { return goroutineID() }

// affinity is processors where threads are left to the system.
type affinity struct{}

func (*affinity) count() int     { return 0 }
func (*affinity) keep(int) error { return nil }
func (*affinity) free()          {}
func (*affinity) ran() int64     { return -1 }
