package hdrlog

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestFullDiskLeavesNoCutFile has the system refuse to make files longer than some bytes.
func TestFullDiskLeavesNoCutFile(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var had syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &had); err != nil {
		t.Fatal(err)
	}
	r, dir := sample(t), t.TempDir()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: had.Max}); err != nil {
		t.Fatal(err)
	}
	err := Write(dir, r)
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
