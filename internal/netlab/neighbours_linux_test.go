package netlab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMoreHostsThanNeighbours: it is told at once. Else nobody would answer, and nothing would say why.
func TestMoreHostsThanNeighbours(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gc_thresh3")
	if err := knowable(64, file); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(file, []byte("1024\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := knowable(32, file); err != nil {
		t.Error(err)
	}
	err := knowable(33, file)
	if err == nil || !strings.Contains(err.Error(), "33 hosts that know each other are 1056 neighbours, and the kernel keeps 1024: ") {
		t.Errorf("33 hosts: %v", err)
	}
}
