package pubsub

import (
	"context"
	"errors"
	"testing"

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
