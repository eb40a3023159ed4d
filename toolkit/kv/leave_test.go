package kv

import (
	"errors"
	"testing"

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
