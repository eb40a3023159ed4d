package engine

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// holding is a ledger whose Deliver waits, and that notes what Restore finds.
type holding struct {
	ledger
	b          *blocker
	delivering atomic.Int32
	beside     atomic.Int32
}

func (h *holding) Deliver(m *Message) {
	h.delivering.Add(1)
	defer h.delivering.Add(-1)
	h.b.wait()
	h.ledger.Deliver(m)
}

func (h *holding) Restore(r io.Reader) error {
	h.beside.Add(h.delivering.Load())
	return h.ledger.Restore(r)
}

// TestRestoreComesAfterTheQueue: a queued handler that is behind when its node is expelled is
// called with what is in its queue before Restore, whose state contains that.
func TestRestoreComesAfterTheQueue(t *testing.T) {
	cluster := clusterOf(t)
	b := newBlocker(t)
	defer b.resume()
	var nodes []*Node
	for i := range 3 {
		nodes = append(nodes, open(t, cluster, fmt.Sprint("node", i), soon))
	}
	l, h := &ledger{}, &holding{b: b}
	from, err := nodes[0].Join(patient(t), "g", l)
	if err != nil {
		t.Fatal(err)
	}
	g, err := nodes[2].Join(patient(t), "g", Queued(h, 0))
	if err != nil {
		t.Fatal(err)
	}
	for k := range 10 {
		if err := from.Send(patient(t), Total, fmt.Append(nil, k)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the handler stands still", func() bool { return b.held.Load() > 0 })
	stall(t, nodes[2], nodes[0])
	eventually(t, "its node is back", func() (back bool) {
		locked(nodes[2], func() { back = g.id != 0 })
		return back
	})
	time.Sleep(100 * time.Millisecond)
	b.resume()
	eventually(t, "the group is back", func() bool { return !g.away.Load() })
	steadily(t, "entries", func() int64 { return int64(len(h.list())) })
	if h.beside.Load() > 0 || !slices.Equal(h.list(), l.list()) {
		t.Errorf("Restore beside %d calls of Deliver; entries %v, want %v", h.beside.Load(), h.list(), l.list())
	}
}

// TestOfferExpiresWhileTheQueueIsEmptied: a queued handler is so far behind when its node is back
// that the only donor has withdrawn its offer. It is asked again.
func TestOfferExpiresWhileTheQueueIsEmptied(t *testing.T) {
	cluster := clusterOf(t)
	b := newBlocker(t)
	defer b.resume()
	var nodes []*Node
	for i := range 3 {
		nodes = append(nodes, open(t, cluster, fmt.Sprint("node", i), soon))
	}
	l, h := &ledger{}, &holding{b: b}
	from, err := nodes[0].Join(patient(t), "g", l)
	if err != nil {
		t.Fatal(err)
	}
	g, err := nodes[2].Join(patient(t), "g", Queued(h, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := from.Send(patient(t), Total, []byte("one")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handler stands still", func() bool { return b.held.Load() > 0 })
	stall(t, nodes[2], nodes[0])
	offers := &nodes[0].offers
	eventually(t, "an offer", func() bool {
		offers.mu.Lock()
		defer offers.mu.Unlock()
		return len(offers.open) > 0
	})
	eventually(t, "it is back in the group", func() (back bool) {
		locked(nodes[2], func() { back = g.id != 0 })
		return back
	})
	offers.clear() // as when offerFor is over
	b.resume()
	for end := time.Now().Add(3 * patience); g.away.Load(); time.Sleep(time.Millisecond) {
		if g.left() || time.Now().After(end) {
			t.Fatalf("the group is not back; given up: %v, %v", g.left(), g.failed)
		}
	}
	steadily(t, "entries", func() int64 { return int64(len(h.list())) })
	if !slices.Equal(h.list(), l.list()) {
		t.Errorf("entries %v, want %v", h.list(), l.list())
	}
}
