package rsm

import (
	"context"
	"errors"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// soon is a context that ends before what a test holds up.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestLeaveAgainForTheStorage: a Leave whose context ended while the storage was in use is called
// again, and waits for it; when all is done it says so, once.
func TestLeaveAgainForTheStorage(t *testing.T) {
	node := testring.Open(t, 1, testring.Timeout)[0]
	s := newSlow()
	r, err := JoinDurable(testring.Patient(t), node, "g", &journal{}, Durability{Storage: s, Disks: 1})
	if err != nil {
		t.Fatal(err)
	}
	go r.Propose(testring.Patient(t), []byte("x")) // its error is engine.ErrNotMember
	<-s.begun
	for range 2 {
		if err := r.Leave(soon(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want DeadlineExceeded", err)
		}
	}
	close(s.gate)
	if err := r.Leave(testring.Patient(t)); err != nil {
		t.Errorf("again: %v", err)
	}
	testring.Closed(t, "the storage is released", r.Released())
	if err := r.Leave(testring.Patient(t)); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("once more: %v, want ErrNotMember", err)
	}
}

// TestLeaveAgainForTheGroup: one whose context ended while the group was being left is called
// again after that.
func TestLeaveAgainForTheGroup(t *testing.T) {
	nodes := testring.Open(t, 2, time.Minute)
	r, err := Join(testring.Patient(t), nodes[0], "g", &journal{})
	if err != nil {
		t.Fatal(err)
	}
	resume := testring.Stall(t, nodes[1])
	if err := r.Leave(soon(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want DeadlineExceeded", err)
	}
	resume()
	testring.Closed(t, "the group is left", r.Group().Gone())
	if err := r.Leave(testring.Patient(t)); err != nil {
		t.Errorf("again: %v", err)
	}
}
