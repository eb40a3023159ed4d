package pubsub

import (
	"sync"

	"cohort/engine"
)

// Policy says what happens to a subscription's messages when its function is slower
// than they come.
type Policy int

const (
	// Block has the group wait, and in the end all who publish in it: nothing is lost.
	Block Policy = iota
	// DropOldest loses the oldest message that waits.
	DropOldest
	// Conflate keeps the last message of each topic alone, in the place of the one that
	// waited; and, when too many topics wait, loses the oldest as DropOldest does.
	Conflate
)

// Message is what a subscription gets.
type Message struct {
	Topic   string
	Level   engine.Level
	From    uint64 // ID of the member that published it
	Payload []byte // borrowed until the function returns

	// Retained: it was published before the subscription began; or it comes late, for the
	// ring had gone on without this process.
	Retained bool
}

// Stats counts what a subscription has met.
type Stats struct {
	Delivered uint64 // calls of the function
	Dropped   uint64 // messages lost to DropOldest, or to Conflate with too many topics
	Conflated uint64 // messages that a newer one of their topic replaced
	Gaps      uint64 // times that the ring had gone on without this process for longer than the history reaches
}

const (
	maxQueueBytes = 32 << 20 // of payloads that wait; one message always may
	keepBuffer    = 64 << 10 // a slot's memory above this is not kept
)

// queue holds the messages that wait for a subscription's function. Many groups put
// into it, one goroutine takes out. It takes no memory for a message in steady state.
type queue struct {
	policy Policy
	most   int // messages that wait; replayed ones are not bounded by it

	mu          sync.Mutex
	ready, room sync.Cond
	ring        []Message // a power of two of slots, with payloads of their own
	head, tail  uint64    // messages taken out and put in
	bytes       int
	waiting     map[string]uint64 // Conflate: by topic, where its message is in ring
	ending      bool              // Block does not wait any more, for what yet comes is little
	closed      bool              // nothing is put in any more
	stats       Stats
}

func newQueue(p Policy, most int) *queue {
	q := &queue{policy: p, most: most}
	q.ready.L, q.room.L = &q.mu, &q.mu
	if p == Conflate {
		q.waiting = map[string]uint64{}
	}
	return q
}

// put takes a message in, as the policy says. Only Block waits.
func (q *queue) put(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.conflated(m) {
		return
	}
	for q.full(len(m.Payload)) && !q.closed {
		switch {
		case q.policy != Block:
			q.drop()
		case q.ending:
			q.push(m)
			return
		default:
			q.room.Wait()
		}
	}
	q.push(m)
}

// replay takes in a message of the history. It never waits: the history is bounded.
func (q *queue) replay(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := (Message{e.topic.name, e.level, e.from, e.payload, true}); !q.closed && !q.conflated(m) {
		q.push(m)
	}
}

func (q *queue) gap() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Gaps++
}

func (q *queue) full(size int) bool {
	n := q.tail - q.head
	return n >= uint64(q.most) || n > 0 && q.bytes+size > maxQueueBytes
}

// conflated puts m in the place of a message of its topic that waits.
func (q *queue) conflated(m Message) bool {
	at, ok := q.waiting[m.Topic]
	if !ok {
		return false
	}
	s := q.at(at)
	q.bytes += len(m.Payload) - len(s.Payload)
	s.set(m)
	q.stats.Conflated++
	for q.bytes > maxQueueBytes && q.head != at {
		q.drop()
	}
	return true
}

func (q *queue) at(k uint64) *Message { return &q.ring[k&uint64(len(q.ring)-1)] }

func (q *queue) push(m Message) {
	if q.closed {
		return
	}
	if q.tail-q.head == uint64(len(q.ring)) {
		q.grow()
	}
	if q.waiting != nil {
		q.waiting[m.Topic] = q.tail
	}
	q.at(q.tail).set(m)
	q.bytes += len(m.Payload)
	q.tail++
	q.ready.Signal()
}

func (q *queue) grow() {
	ring := make([]Message, max(16, 2*len(q.ring)))
	for k := q.head; k < q.tail; k++ {
		ring[k&uint64(len(ring)-1)] = *q.at(k)
	}
	q.ring = ring
}

// set copies m into the slot's memory.
func (s *Message) set(m Message) {
	b := append(s.Payload[:0], m.Payload...)
	*s = m
	s.Payload = b
}

// forget takes out the oldest message.
func (q *queue) forget() {
	s := q.at(q.head)
	q.bytes -= len(s.Payload)
	delete(q.waiting, s.Topic)
	q.head++
}

// drop loses the oldest message, and what its slot has of memory beyond what is kept.
func (q *queue) drop() {
	s := q.at(q.head)
	q.forget()
	if cap(s.Payload) > keepBuffer {
		s.Payload = nil
	}
	q.stats.Dropped++
}

// take waits for a message, and swaps it into m, whose memory the queue has then. It
// returns false when the queue is closed and empty.
func (q *queue) take(m *Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == q.tail {
		if q.closed {
			return false
		}
		q.ready.Wait()
	}
	s := q.at(q.head)
	q.forget()
	if cap(m.Payload) > keepBuffer {
		m.Payload = nil
	}
	*m, *s = *s, Message{Payload: m.Payload}
	q.stats.Delivered++
	q.room.Broadcast()
	return true
}

// end has nobody wait for room any more.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.room.Broadcast()
}

// close ends the queue. With drop what waits is forgotten, else it can still be taken.
func (q *queue) close(drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		q.ring, q.head, q.tail, q.bytes = nil, 0, 0, 0
		clear(q.waiting)
	}
	q.ready.Broadcast()
	q.room.Broadcast()
}
