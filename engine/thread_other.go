//go:build !linux

package engine

// threadID tells the loop's goroutine from all others.
func threadID() uint64 { return goroutineID() }
