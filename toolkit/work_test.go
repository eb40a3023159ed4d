package toolkit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cohort/internal/testring"
	"cohort/toolkit"
)

// TestWorkEndsWithTheGroup: functions' contexts end when the group has been left, though as
// many run as may and the Leave was cut short.
func TestWorkEndsWithTheGroup(t *testing.T) {
	nodes := testring.Open(t, 2, time.Minute)
	h := join(t, nodes[0])
	runs, ends := make(chan struct{}), make(chan struct{})
	go toolkit.Work(t.Context(), h, 1,
		func(*tally, context.CancelFunc) (struct{}, bool) { return struct{}{}, true },
		func(ctx context.Context, _ struct{}) {
			close(runs)
			<-ctx.Done()
			close(ends)
		})
	testring.Closed(t, "it runs", runs)
	resume := testring.Stall(t, nodes[1])
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want DeadlineExceeded", err)
	}
	resume()
	testring.Closed(t, "the context has ended", ends)
}
