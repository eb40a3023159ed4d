package engine

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// loopCPU returns the CPU time that a node's loop has used, ns.
func loopCPU(t testing.TB, n *Node) (ns int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", n.loop.Load()))
	if err == nil {
		_, err = fmt.Sscan(string(b), &ns)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// processCPU returns the CPU time that this process has used, ns.
func processCPU(t testing.TB) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
