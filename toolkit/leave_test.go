package toolkit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// TestLeaveCutShort: a Leave whose context ends may yet come about, and ends what waits.
func TestLeaveCutShort(t *testing.T) {
	n := testring.Add(t, testring.Cluster(t), "alone")
	h := join(t, n)
	gate, in := make(chan struct{}), make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	st, err := n.Join(testring.Patient(t), "stall", engine.HandlerFunc(func(*engine.Message) { close(in); <-gate }))
	if err != nil {
		t.Fatal(err)
	}
	_ = st.Send(testring.Patient(t), engine.FIFO, nil)
	<-in
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want DeadlineExceeded", err)
	}
	open()
	testring.Eventually(t, "left", func() bool { return errors.Is(h.Group().TrySend(engine.FIFO, nil), engine.ErrNotMember) })
	if err := h.Await(testring.Patient(t), func(*tally) (bool, error) { return false, nil }); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("Await: %v, want ErrNotMember", err)
	}
}
