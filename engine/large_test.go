package engine

import "testing"

// TestNoNapsBetweenLargeMessages: their sender waits for each of them to be packed, so a loop
// that naps after one keeps the next waiting.
func TestNoNapsBetweenLargeMessages(t *testing.T) {
	nodes := openRing(t, 1, nil)
	groups := joinAll(t, nodes, "large", func(int) Handler { return HandlerFunc(func(*Message) {}) })
	ctx := patient(t)
	payload := make([]byte, 1<<20)
	before := nodes[0].Stats().Naps
	const count = 100
	for range count {
		if err := groups[0].Send(ctx, FIFO, payload); err != nil {
			t.Fatal(err)
		}
	}
	if naps := nodes[0].Stats().Naps - before; naps > count/10 {
		t.Errorf("%d naps while %d messages of %d bytes were sent", naps, count, len(payload))
	}
}
