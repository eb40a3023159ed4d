package pubsub

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func message(topic string, k int) Message {
	return Message{Topic: topic, Payload: fmt.Append(nil, k)}
}

// drain takes out what waits.
func drain(q *queue) (got []string) {
	var m Message
	for q.head != q.tail && q.take(&m) {
		got = append(got, fmt.Sprintf("%s%s", m.Topic, m.Payload))
	}
	return got
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		policy             Policy
		want               []string
		dropped, conflated uint64
	}{
		{DropOldest, []string{"a2", "b3", "a4"}, 2, 0},
		{Conflate, []string{"a4", "b3"}, 0, 3},
	} {
		q := newQueue(c.policy, 3)
		for k, topic := range []string{"a", "b", "a", "b", "a"} {
			q.put(message(topic, k))
		}
		got := drain(q)
		if s := q.stats; !slices.Equal(got, c.want) || s.Dropped != c.dropped || s.Conflated != c.conflated || s.Delivered != uint64(len(got)) {
			t.Errorf("policy %d: %v, %+v", c.policy, got, s)
		}
		q.put(message("a", 5)) // nothing of what was taken out is replaced
		if got := drain(q); !slices.Equal(got, []string{"a5"}) {
			t.Errorf("policy %d: then %v", c.policy, got)
		}
	}
}

func TestConflateIsBounded(t *testing.T) {
	q := newQueue(Conflate, 3)
	for k := range 10 {
		q.put(message(fmt.Sprint("t", k, "="), k))
	}
	if got := drain(q); !slices.Equal(got, []string{"t7=7", "t8=8", "t9=9"}) || q.stats.Dropped != 7 {
		t.Errorf("%v, %+v", got, q.stats)
	}
}

func TestBlockWaits(t *testing.T) {
	q := newQueue(Block, 2)
	put := make(chan int, 10)
	go func() {
		for k := range 5 {
			q.put(message("a", k))
			put <- k
		}
		q.close(false)
		close(put)
	}()
	for range 2 {
		<-put
	}
	select {
	case k := <-put:
		t.Fatalf("message %d went into a full queue", k)
	case <-time.After(20 * time.Millisecond):
	}
	var got []string
	for m := (Message{}); q.take(&m); {
		got = append(got, string(m.Payload))
	}
	if !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) {
		t.Error(got)
	}
}

// TestCloseFrees: one who waits for room goes on when the queue is closed.
func TestCloseFrees(t *testing.T) {
	q := newQueue(Block, 1)
	q.put(message("a", 1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.put(message("a", 2))
	}()
	time.Sleep(5 * time.Millisecond)
	q.close(true)
	<-done
	var m Message
	if q.take(&m) {
		t.Errorf("%s waits in a closed queue", m.Payload)
	}
}

// TestClosedQueueTakesNothing: a group may still deliver to a subscription that ends, also
// for a topic of which a message waited.
func TestClosedQueueTakesNothing(t *testing.T) {
	for _, p := range []Policy{Block, DropOldest, Conflate} {
		for _, drop := range []bool{true, false} {
			q := newQueue(p, 3)
			q.put(message("a", 1))
			q.close(drop)
			q.put(message("a", 2))
			q.replay(&entry{topic: &topic{name: "a"}, payload: []byte("3")})
			var want []string
			if !drop {
				want = []string{"a1"}
			}
			if got := drain(q); !slices.Equal(got, want) {
				t.Errorf("policy %d, drop %v: %v, want %v", p, drop, got, want)
			}
		}
	}
}

// TestQueueInBytes: large payloads are bounded too, but one always goes in.
func TestQueueInBytes(t *testing.T) {
	q := newQueue(DropOldest, 1000)
	big := make([]byte, maxQueueBytes/2+1)
	for range 3 {
		q.put(Message{Topic: "a", Payload: big})
	}
	if q.tail-q.head != 1 || q.stats.Dropped != 2 {
		t.Errorf("%d wait, %+v", q.tail-q.head, q.stats)
	}
}
