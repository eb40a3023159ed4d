//go:build !unix

package kernel

// Self is not known on this system.
func Self() Usage { return Usage{} }
