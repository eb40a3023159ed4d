// Package fulldisk lets tests see what is left behind where a disk is full.
package fulldisk

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// inside tells a process that it runs one test only.
const inside = "FULLDISK_TEST_INSIDE"

// LeavesNothing fails the test unless write, into the folder dir, returns the system's error
// when it refuses to make files longer than 100 bytes, and leaves nothing there. The limit
// is a process's, and the go command has tests keep a log: so the test runs once more, in a
// process of its own.
func LeavesNothing(t *testing.T, dir string, write func() error) {
	t.Helper()
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var had syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &had); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: had.Max}); err != nil {
		t.Fatal(err)
	}
	err := write()
	if back := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &had); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("error %v, want %v", err, syscall.EFBIG)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, error %v; want nothing", left, err)
	}
}
