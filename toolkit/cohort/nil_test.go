package cohort

import (
	"context"
	"testing"
	"time"

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
