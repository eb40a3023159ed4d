package member

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

// health tells what this process holds now. Garbage is collected and given back first:
// what the collector happens to have left would look like growth.
func health() Health {
	debug.FreeOSMemory()
	h := Health{Goroutines: runtime.NumGoroutine()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64 // pages
		if _, err := fmt.Sscan(string(b), &size, &resident); err == nil {
			h.RSSBytes = resident * int64(os.Getpagesize())
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		h.OpenFiles = len(fds) - 1 // the one that reads them
	}
	return h
}
