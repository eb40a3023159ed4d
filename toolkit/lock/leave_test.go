package lock

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
)

// TestLeaveWithoutAContext is refused, and nothing is released.
func TestLeaveWithoutAContext(t *testing.T) {
	l, err := Join(testring.Patient(t), testring.Add(t, testring.Cluster(t), "alone"), "locks")
	if err != nil {
		t.Fatal(err)
	}
	m := l.Mutex("m", engine.Total)
	if _, err := m.Lock(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	var none context.Context
	if err := l.Leave(none); !errors.Is(err, engine.ErrConfig) {
		t.Errorf("%v, want ErrConfig", err)
	}
	if err := m.Unlock(); err != nil {
		t.Errorf("%v: the lock was lost", err)
	}
}

// TestLeaveLeavesNothing: who joins and leaves all day long does not grow.
func TestLeaveLeavesNothing(t *testing.T) {
	n := testring.Add(t, testring.Cluster(t), "alone")
	before := runtime.NumGoroutine()
	for range 50 {
		l, err := Join(testring.Patient(t), n, "l")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Leave(testring.Patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	testring.Eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+10 })
}
