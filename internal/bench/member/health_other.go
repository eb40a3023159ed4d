//go:build !linux

package member

import "runtime"

// health tells what is known on this system.
func health() Health { return Health{Goroutines: runtime.NumGoroutine()} }
