package engine

import (
	"io"
	"runtime"
	"testing"
	"time"
)

// archive is a state that says when the memory of a snapshot of it is free again.
type archive struct {
	ledger
	freed chan struct{}
}

type archived struct {
	io.ReadCloser
	bulk [1 << 20]byte
}

func (h *archive) Snapshot() (io.ReadCloser, error) {
	s, err := h.ledger.Snapshot()
	a := &archived{ReadCloser: s}
	runtime.AddCleanup(a, func(freed chan struct{}) { close(freed) }, h.freed)
	return a, err
}

// TestGivenSnapshotIsFreed: a snapshot that has been given takes no memory any more.
func TestGivenSnapshotIsFreed(t *testing.T) {
	nodes := openRing(t, 2, nil)
	from := &archive{freed: make(chan struct{})}
	for i, h := range []Handler{from, &ledger{}} {
		if _, err := nodes[i].Join(patient(t), "archive", h); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(offerFor / 3); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		select {
		case <-from.freed:
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("a snapshot is in memory %v after it has been given", offerFor/3)
		}
	}
}
