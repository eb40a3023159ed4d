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

// behind is a ring of three, in whose group "g" the first and the last are: the last one's
// handler is queued, and stands still.
type behind struct {
	nodes   []*Node
	b       *blocker
	l       *ledger
	h       *holding
	from, g *Group // the first's, the last's
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	r := &behind{b: newBlocker(t), l: &ledger{}}
	r.h = &holding{b: r.b}
	cluster := clusterOf(t)
	for i := range 3 {
		r.nodes = append(r.nodes, open(t, cluster, fmt.Sprint("node", i), soon))
	}
	t.Cleanup(r.b.resume) // before the nodes are closed
	var err error
	if r.from, err = r.nodes[0].Join(patient(t), "g", r.l); err != nil {
		t.Fatal(err)
	}
	if r.g, err = r.nodes[2].Join(patient(t), "g", Queued(r.h, 0)); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRestoreComesAfterTheQueue: a queued handler that is behind when its node is expelled is
// called with what is in its queue before Restore, whose state contains that.
func TestRestoreComesAfterTheQueue(t *testing.T) {
	r := newBehind(t)
	for k := range 10 {
		if err := r.from.Send(patient(t), Total, fmt.Append(nil, k)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the handler stands still", func() bool { return r.b.held.Load() > 0 })
	stall(t, r.nodes[2], r.nodes[0])
	eventually(t, "its node is back", func() (back bool) {
		locked(r.nodes[2], func() { back = r.g.id != 0 })
		return back
	})
	time.Sleep(100 * time.Millisecond)
	r.b.resume()
	eventually(t, "the group is back", func() bool { return !r.g.away.Load() })
	steadily(t, "entries", func() int64 { return int64(len(r.h.list())) })
	if r.h.beside.Load() > 0 || !slices.Equal(r.h.list(), r.l.list()) {
		t.Errorf("Restore beside %d calls of Deliver; entries %v, want %v", r.h.beside.Load(), r.h.list(), r.l.list())
	}
}

// TestOfferExpiresWhileTheQueueIsEmptied: a queued handler is so far behind when its node is back
// that the only donor has withdrawn its offer. It is asked again.
func TestOfferExpiresWhileTheQueueIsEmptied(t *testing.T) {
	r := newBehind(t)
	if err := r.from.Send(patient(t), Total, []byte("one")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handler stands still", func() bool { return r.b.held.Load() > 0 })
	stall(t, r.nodes[2], r.nodes[0])
	offers := &r.nodes[0].offers
	eventually(t, "an offer", func() bool {
		offers.mu.Lock()
		defer offers.mu.Unlock()
		return len(offers.open) > 0
	})
	eventually(t, "it is back in the group", func() (back bool) {
		locked(r.nodes[2], func() { back = r.g.id != 0 })
		return back
	})
	offers.clear() // as when offerFor is over
	r.b.resume()
	for end := time.Now().Add(3 * patience); r.g.away.Load(); time.Sleep(time.Millisecond) {
		if r.g.left() || time.Now().After(end) {
			t.Fatalf("the group is not back; given up: %v, %v", r.g.left(), r.g.failed)
		}
	}
	steadily(t, "entries", func() int64 { return int64(len(r.h.list())) })
	if !slices.Equal(r.h.list(), r.l.list()) {
		t.Errorf("entries %v, want %v", r.h.list(), r.l.list())
	}
}
