package kv

import (
	"context"
	"errors"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// TestMutexAfterLeave joins no group that nobody would leave any more.
func TestMutexAfterLeave(t *testing.T) {
	n := testring.Add(t, testring.Cluster(t), "alone")
	m, err := Join(testring.Patient(t), n, "m", Config[string, int]{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mutex(testring.Patient(t), "a"); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("%v, want ErrNotMember", err)
	}
}

// TestLeaveAgain: a Leave that was cut short while it left the locks can be called again,
// also when these have been left meanwhile.
func TestLeaveAgain(t *testing.T) {
	nodes := testring.Open(t, 2, time.Minute)
	m, err := Join(testring.Patient(t), nodes[0], "m", Config[string, int]{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mutex(testring.Patient(t), "a"); err != nil {
		t.Fatal(err)
	}
	resume := testring.Stall(t, nodes[1])
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want DeadlineExceeded", err)
	}
	resume()
	testring.Eventually(t, "the locks are left", func() bool {
		return errors.Is(m.locks.Leave(testring.Patient(t)), engine.ErrNotMember)
	})
	if err := m.Leave(testring.Patient(t)); err != nil {
		t.Errorf("again: %v", err)
	}
	testring.Closed(t, "the map's group is left", m.replica.Group().Gone())
}

// TestOthersMutexHoldsNobody: Mutex and Leave keep to their contexts while another's Mutex
// waits for the locks' group.
func TestOthersMutexHoldsNobody(t *testing.T) {
	nodes := testring.Open(t, 2, time.Minute)
	m, err := Join(testring.Patient(t), nodes[0], "m", Config[string, int]{})
	if err != nil {
		t.Fatal(err)
	}
	resume := testring.Stall(t, nodes[1])
	other := make(chan struct{})
	go func() {
		defer close(other)
		_, _ = m.Mutex(testring.Patient(t), "a")
	}()
	testring.Eventually(t, "another waits", func() bool { return len(m.locking) == 1 })
	for name, f := range map[string]func(context.Context) error{
		"Mutex": func(ctx context.Context) error { _, err := m.Mutex(ctx, "b"); return err },
		"Leave": m.Leave,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want DeadlineExceeded", name, err)
		}
	}
	select {
	case <-other:
		t.Error("they have waited for the other's")
	default:
	}
	resume()
	testring.Closed(t, "the other's Mutex", other)
}
