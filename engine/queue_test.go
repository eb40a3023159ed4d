package engine

import (
	"errors"
	"sync/atomic"
	"testing"
)

// stuck is a queued handler that stands in its first message until its queue and the submit ring
// are full, and then calls act.
type stuck struct {
	full  chan struct{}
	act   func()
	got   atomic.Int64
	last  atomic.Pointer[GroupView]
	after atomic.Bool // a message came after a view without this node
}

func (h *stuck) Deliver(*Message) {
	if v := h.last.Load(); v != nil && len(v.Members) == 0 {
		h.after.Store(true)
	}
	if h.got.Add(1) == 1 {
		<-h.full
		h.act()
	}
}

func (h *stuck) View(v GroupView) { h.last.Store(&v) }

// stop joins "g" with h, and has it stand in its first message.
func (h *stuck) stop(t *testing.T, n *Node) (g *Group, sent int64) {
	t.Helper()
	h.full = make(chan struct{})
	g, err := n.Join(patient(t), "g", Queued(h, 0))
	if err != nil {
		t.Fatal(err)
	}
	for ; ; sent++ {
		if err := g.TrySend(FIFO, make([]byte, 1000)); errors.Is(err, ErrWouldBlock) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return g, sent
}

// TestLeaveInsideAFullQueue: a handler that leaves its group does not wait for room that only it
// can make, and is called with what was sent to the group before.
func TestLeaveInsideAFullQueue(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	h, left := &stuck{}, make(chan error, 1)
	var g *Group
	h.act = func() { left <- g.Leave(patient(t)) }
	g, sent := h.stop(t, n)
	close(h.full)
	if err := <-left; err != nil {
		t.Errorf("Leave: %v", err)
	}
	<-g.queue.ended
	if got := h.got.Load(); got != sent || h.after.Load() {
		t.Errorf("%d messages, want %d; after the last view: %v", got, sent, h.after.Load())
	}
	if v := h.last.Load(); len(v.Left) != 1 {
		t.Errorf("the last view is %+v, want that this node has left", *v)
	}
}

// TestCloseWithAFullQueue: what a handler has yet to be told when its node ends is not lost for
// want of room.
func TestCloseWithAFullQueue(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	h := &stuck{act: func() {}}
	g, _ := h.stop(t, n)
	locked(n, func() {
		for g.queue.ring.TryPush(pack(0, FIFO, 0), nil) { // there may be room for less than a message
		}
		n.show(g, GroupView{Group: "g", Num: 99, Members: g.view.Members})
	})
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	<-n.Done()
	close(h.full)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if v := h.last.Load(); v.Num < 99 {
		t.Errorf("the last view is %d, want 99", v.Num)
	}
}
