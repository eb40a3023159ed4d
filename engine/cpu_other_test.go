//go:build !linux

package engine

import "testing"

// CPU times are 0 where they are not to be had.
func loopCPU(testing.TB, *Node) int64 { return 0 }
func processCPU(testing.TB) int64     { return 0 }
