package pubsub

import (
	"fmt"
	"testing"
)

// TestConflateKeepsToItsBytes, also where messages that wait are replaced by larger ones.
func TestConflateKeepsToItsBytes(t *testing.T) {
	q := newQueue(Conflate, 1024)
	for k := range 200 {
		q.put(Message{Topic: fmt.Sprint(k), Payload: []byte("x")})
	}
	large := make([]byte, 1<<20)
	for k := range 200 {
		q.put(Message{Topic: fmt.Sprint(k), Payload: large})
	}
	if q.bytes > maxQueueBytes+1<<20 {
		t.Errorf("%d bytes wait, want at most %d and a message", q.bytes, maxQueueBytes)
	}
	if n := q.tail - q.head; n != uint64(len(q.waiting)) || q.stats.Dropped+n != 200 {
		t.Errorf("%d wait, of %d topics, and %d have been lost, of 200", n, len(q.waiting), q.stats.Dropped)
	}
}

// TestDropOldestKeepsNoMemory of large messages that it has lost.
func TestDropOldestKeepsNoMemory(t *testing.T) {
	q := newQueue(DropOldest, 256)
	for range 256 {
		q.put(Message{Topic: "a", Payload: []byte("x")})
	}
	large := make([]byte, 1<<20)
	for range 256 {
		q.put(Message{Topic: "a", Payload: large})
	}
	sum := 0
	for _, m := range q.ring {
		sum += cap(m.Payload)
	}
	if sum > 2*maxQueueBytes {
		t.Errorf("the ring keeps %d bytes, %d of them wait", sum, q.bytes)
	}
}
