package engine

import "golang.org/x/sys/unix"

// threadID tells the loop's goroutine, which keeps its thread, from all others.
func threadID() uint64 { return uint64(unix.Gettid()) }
