package lock

import (
	"errors"
	"testing"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// queue is the machine of member 1 and what the group delivers to it.
type queue struct{ *machine }

func memberOne() queue {
	q := queue{newMachine(0)}
	q.View(toolkit.View{GroupView: engine.GroupView{Members: []membership.Member{{ID: 1}, {ID: 2}, {ID: 3}}}, Self: 1}, discard{})
	return q
}

func (q queue) request(from, serial uint64, weight, capacity uint32) {
	q.deliver(from, appendRequest(nil, serial, 0, &claim{name: "s", weight: weight, capacity: capacity}))
}

// asks has member 1 itself ask.
func (q queue) asks(weight, capacity uint32) *claim {
	c := &claim{name: "s", weight: weight, capacity: capacity, settled: make(chan struct{})}
	q.ask(c, discard{})
	q.request(1, c.serial, weight, capacity)
	return c
}

func (q queue) release(from, serial uint64) { q.deliver(from, appendRelease(nil, serial, "s")) }

func (q queue) deliver(from uint64, b []byte) {
	q.Deliver(toolkit.Message{From: from, Payload: b}, discard{})
}

// TestRightBehindWrong: a request with another capacity than the semaphore is in use with is
// about to be refused by its owner, and is no reason to refuse one that is right.
func TestRightBehindWrong(t *testing.T) {
	q := memberOne()
	q.request(2, 1, 1, 3)
	q.request(3, 1, 1, 4)
	c := q.asks(1, 3)
	if c.err != nil || c.grant != nil {
		t.Fatalf("%v, granted: %v; want it to wait", c.err, c.grant != nil)
	}
	q.release(3, 1)
	if c.grant == nil {
		t.Error("it is not granted once the wrong one is gone")
	}
	if wrong := q.asks(1, 4); !errors.Is(wrong.err, ErrCapacity) {
		t.Errorf("%v, want ErrCapacity", wrong.err)
	}
}

// TestRightBehindWrongThatIsFirst: those before the wrong one are gone, and the news that its
// owner has been refused has yet to come.
func TestRightBehindWrongThatIsFirst(t *testing.T) {
	q := memberOne()
	q.request(2, 1, 1, 3)
	q.request(3, 1, 1, 4)
	q.release(2, 1)
	c := q.asks(1, 3)
	if c.err != nil || c.grant != nil {
		t.Fatalf("%v, granted: %v; want it to wait", c.err, c.grant != nil)
	}
	if q.release(3, 1); c.grant == nil {
		t.Error("it is not granted once the wrong one is gone")
	}
}

// TestRightBehindOwnThatIsOver: this member itself has given up what stands before, and its
// release has yet to come round.
func TestRightBehindOwnThatIsOver(t *testing.T) {
	q := memberOne()
	old := q.asks(1, 4)
	q.giveUp(old, discard{})
	c := q.asks(1, 3)
	if c.err != nil || c.grant != nil {
		t.Fatalf("%v, granted: %v; want it to wait", c.err, c.grant != nil)
	}
	if q.release(1, old.serial); c.grant == nil {
		t.Error("it is not granted once the other is gone")
	}
}

// TestWrongMayBeRight: to its owner the semaphore may have been free, and then it has what
// its own capacity promises.
func TestWrongMayBeRight(t *testing.T) {
	q := memberOne()
	q.request(2, 1, 1, 3)
	q.request(3, 1, 1, 1)
	c := q.asks(1, 3)
	if q.release(2, 1); c.grant != nil {
		t.Fatal("two have shares of a semaphore of which one believes that it is the only one")
	}
	if q.release(3, 1); c.grant == nil {
		t.Errorf("%v, want it to be granted once the other is gone", c.err)
	}
}
