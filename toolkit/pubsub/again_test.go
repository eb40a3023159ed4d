package pubsub

import (
	"context"
	"errors"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// TestSubscribeAfterCloseCutShort: what the group hands over yet of the time before goes to
// no subscription of the time after.
func TestSubscribeAfterCloseCutShort(t *testing.T) {
	b := joinAll(t, testring.Open(t, 1, testring.Timeout), Config{Groups: 1})[0]
	for range 3 {
		gate := make(chan struct{})
		s, err := b.Subscribe(testring.Patient(t), "a", Options{Queue: 1}, func(*Message) { <-gate })
		if err != nil {
			t.Fatal(err)
		}
		for range 20_000 { // they wait between the node's loop and the subscription
			publish(t, b, "a", engine.FIFO, "")
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := b.groups[0].g.Gone()
		go func() {
			<-left
			cancel()
		}()
		if err := s.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		close(gate)
		s, l := subscribe(t, b, "a", Options{})
		publish(t, b, "a", engine.FIFO, "new")
		testring.Eventually(t, "new", func() bool { return len(l.now()) > 0 })
		if got := l.now(); got[0] != "a=new" {
			t.Errorf("first came %s", got[0])
		}
		if err := s.Close(testring.Patient(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCloseAgain goes on where the first Close was cut short: waiting for the group's turn,
// or while the group was being left.
func TestCloseAgain(t *testing.T) {
	nodes := testring.Open(t, 2, time.Minute)
	b := joinAll(t, nodes, Config{Groups: 1})[0]
	g := b.groups[0]
	hold := map[string]func() (release func()){
		"turn": func() func() {
			if err := g.turns.Acquire(testring.Patient(t), 1); err != nil {
				t.Fatal(err)
			}
			return func() { g.turns.Release(1) }
		},
		"leave": func() func() { return testring.Stall(t, nodes[1]) },
	}
	for name, f := range hold {
		s, _ := subscribe(t, b, "a", Options{})
		release := f()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want DeadlineExceeded", name, err)
		}
		release()
		if err := s.Close(testring.Patient(t)); err != nil {
			t.Errorf("%s: again: %v", name, err)
		}
		if g.role != outside || g.g != nil {
			t.Errorf("%s: closed, and the group is not left", name)
		}
	}
}

// TestCloseAgainLeavesOthersIn: a subscription that has come since a Close was cut short
// stays in the group, whose one it is now.
func TestCloseAgainLeavesOthersIn(t *testing.T) {
	nodes := testring.Open(t, 2, time.Minute)
	b := joinAll(t, nodes, Config{Groups: 1})[0]
	s, _ := subscribe(t, b, "a", Options{})
	resume := testring.Stall(t, nodes[1])
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
	resume()
	_, l := subscribe(t, b, "a", Options{})
	if err := s.Close(testring.Patient(t)); err != nil {
		t.Error(err)
	}
	publish(t, b, "a", engine.FIFO, "x")
	testring.Eventually(t, "x", func() bool { return len(l.now()) == 1 })
}

// onView is told of views.
type onView func(v engine.GroupView)

func (onView) Deliver(*engine.Message)   {}
func (f onView) View(v engine.GroupView) { f(v) }

// TestJoinAgain: a Join with Keep that was cut short stays in no group.
func TestJoinAgain(t *testing.T) {
	nodes := testring.Open(t, 2, testring.Timeout)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := nodes[1].Join(testring.Patient(t), "pubsub/default/20.1/2", onView(func(v engine.GroupView) {
		if len(v.Members) == 2 {
			cancel()
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Keep: true, Groups: 20}
	if _, err := Join(ctx, nodes[0], c); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want Canceled", err)
	}
	if _, err := Join(testring.Patient(t), nodes[0], c); err != nil {
		t.Errorf("again: %v", err)
	}
}
