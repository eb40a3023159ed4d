package engine

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// nilState is a handler that takes an empty state for none.
type nilState struct{ ledger }

func (*nilState) Snapshot() (io.ReadCloser, error) { return nil, nil }

// TestNilSnapshot: a Snapshot that returns nothing is a reason for the joiner, not the donor's end.
func TestNilSnapshot(t *testing.T) {
	nodes := openRing(t, 2, nil)
	if _, err := nodes[0].Join(patient(t), "g", &nilState{}); err != nil {
		t.Fatal(err)
	}
	_, err := nodes[1].Join(patient(t), "g", &ledger{})
	if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "nil") {
		t.Errorf("%v, want ErrState, and that the snapshot is nil", err)
	}
}
