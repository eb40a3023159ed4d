//go:build !linux

package kernel

// Distance is not known on this system.
func Distance() float64 { return 0 }
