//go:build !amd64

package ring

func prefetch(*byte, uint64) {}
