package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// stalled has the node's loop stand still in a handler of another group, and returns that group
// and what ends it.
func stalled(t *testing.T, ctx context.Context, node *engine.Node) (other *engine.Group, resume func()) {
	t.Helper()
	in, gate := make(chan struct{}, 1), make(chan struct{})
	other, err := node.Join(ctx, "other", engine.HandlerFunc(func(m *engine.Message) {
		select {
		case in <- struct{}{}:
			<-gate
		default:
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Send(ctx, engine.FIFO, nil); err != nil {
		t.Fatal(err)
	}
	for len(in) == 0 {
		time.Sleep(time.Millisecond)
	}
	return other, func() { close(gate) }
}

// fill leaves no room to send, not even for the little that a leave is.
func fill(g *engine.Group) {
	for _, size := range []int{4096, 0} {
		for g.TrySend(engine.FIFO, make([]byte, size)) == nil {
		}
	}
}

// lets tells whether a client of the group would be let in.
func lets(s *Server, g *Group) bool {
	if s.find([]string{"orders"}) == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	in := g.member.Hello(1, 1, false, &seat{conn: newConn(s, nil)})
	g.member.Take()
	return !in.Ended()
}

// leaveInVain calls a Leave whose context ends first, and has the loop go on then.
func leaveInVain(t *testing.T, ctx context.Context, g *Group, resume func()) {
	t.Helper()
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err := g.Leave(soon)
	resume()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want DeadlineExceeded", err)
	}
}

// TestLeaveWithoutRoom has not begun when its context ends: clients are served as before.
func TestLeaveWithoutRoom(t *testing.T) {
	ctx, node, s, g := alone(t)
	other, resume := stalled(t, ctx, node)
	fill(other)
	leaveInVain(t, ctx, g, resume)
	if err := g.Send(ctx, engine.Total, nil); err != nil {
		t.Fatalf("%v: it is left", err)
	}
	if !lets(s, g) {
		t.Error("the group is not left, and clients are refused")
	}
	if err := g.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	if lets(s, g) {
		t.Error("the group is left, and clients are let in")
	}
}

// TestLeaveInsideAHandler cannot be, and changes nothing.
func TestLeaveInsideAHandler(t *testing.T) {
	ctx, node, s, g := alone(t)
	left := make(chan error, 1)
	other, err := node.Join(ctx, "other", engine.HandlerFunc(func(*engine.Message) { left <- g.Leave(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Send(ctx, engine.FIFO, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-left; !errors.Is(err, engine.ErrWouldBlock) {
		t.Fatalf("%v, want ErrWouldBlock", err)
	}
	if !lets(s, g) {
		t.Error("the group is not left, and clients are refused")
	}
}

// TestLeaveCutShort comes about all the same, and then the gateway has the group no more.
func TestLeaveCutShort(t *testing.T) {
	ctx, node, s, g := alone(t)
	_, resume := stalled(t, ctx, node)
	leaveInVain(t, ctx, g, resume)
	testring.Eventually(t, "the group is let go of", func() bool { return s.find([]string{"orders"}) == nil })
}
