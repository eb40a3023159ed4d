package cohort

import (
	"context"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// TestNilRequest: a request without a payload is one that somebody waits for.
func TestNilRequest(t *testing.T) {
	node := testring.Add(t, testring.Cluster(t), "alone")
	gate, began := make(chan struct{}), make(chan struct{}, 10)
	s, err := Join(testring.Patient(t), node, "svc", func(ctx context.Context, r []byte) ([]byte, error) {
		if len(r) == 0 {
			began <- struct{}{}
			select {
			case <-gate:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return r, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	go func() { _, err := s.Call(ctx, nil); done <- err }()
	<-began
	if _, err := s.Call(testring.Patient(t), []byte("x")); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("Call(nil): %v", err)
	}
}

// nowhere is an Out that sends nothing, as where a quorum is missing.
type nowhere struct{}

func (nowhere) Send(engine.Level, []byte) {}

// TestFinishedIsToldAgain where the request that told it has not been sent.
func TestFinishedIsToldAgain(t *testing.T) {
	m := newMachine(7)
	m.sessions[7] = &session{requests: map[uint64]*entry{1: {done: true}}}
	m.last = 1
	num := m.ask([]byte("x"), nowhere{})
	delete(m.open, num)
	m.tellAgain()
	if f := m.finished(); len(f) != 1 {
		t.Errorf("%v is told, want request 1", f)
	}
}
