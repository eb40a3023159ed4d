package engine

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"cohort/ring"
)

// Queued wraps a handler that may block: it is then called on a goroutine of its
// own, fed by a ring of size bytes (at least 64 KiB; less is taken as that). A
// full ring makes the group, and in the end the ring's senders, wait. Handing
// over costs a copy of each message and, when the goroutine sleeps, a wake-up.
//
// A queued handler may call everything. Send waits for room there as anywhere, and
// room may depend on this very queue: a handler that sends as much as it gets
// should use TrySend, or a context that ends. So should one that calls Ask or Join while
// its queue fills: what they wait for comes after what has no room there.
//
// Of a handler that is Queued already the size is replaced.
func Queued(h Handler, size int) Handler {
	if q, ok := h.(queued); ok { // it would hide that the handler is Stateful
		h = q.h
	}
	return queued{h, max(size, minQueue)}
}

const minQueue = 64 << 10

// queued marks a handler for Join; its methods are not called.
type queued struct {
	h    Handler
	size int
}

func (q queued) Deliver(m *Message) { q.h.Deliver(m) }
func (q queued) View(v GroupView)   { q.h.View(v) }

// queue is the ring between the loop and a queued handler.
type queue struct {
	node    *Node
	group   *Group
	h       Handler
	ring    *ring.SPSC
	starved atomic.Bool   // the loop waits for room
	last    bool          // the loop's: closed once late is empty
	late    []late        // the loop's until the ring is closed: what waits for room
	parting atomic.Bool   // the handler is in Leave, and makes no room: nothing may wait for that
	caller  atomic.Uint64 // goroutine that calls the handler
	ended   chan struct{} // closed when that has ended

	mu    sync.Mutex
	wide  []any // what does not fit the ring: large payloads ([]byte), views, and snapshots to take, in the order of their marks
	bytes int   // of large payloads in it
}

// late is a view, a snapshot to be taken or a payload that has yet to be put into the ring.
type late struct {
	meta uint64
	item any
}

// emptied is an item of a queue that is closed when all before it has been handled: the
// state that is restored then contains that.
type emptied chan struct{}

// Marks in the metadata word, beside pack's fields; the sender's rank lies in the
// group's place.
const (
	wideFlag  = 1 << 63
	askedFlag = 1 << 62
)

// maxWide bounds the bytes of large payloads waiting in a queue; one always may.
const maxWide = 32 << 20

func newQueue(n *Node, g *Group, q queued) *queue {
	out := &queue{node: n, group: g, h: q.h, ring: ring.NewSPSC(q.size), ended: make(chan struct{})}
	n.groups.running(out, true)
	go out.run()
	return out
}

func (q *queue) close() { q.ring.Close() }

// offer puts m into the queue; false if there is no room: the loop is then woken
// when there is.
func (q *queue) offer(m *Message) bool {
	meta, payload := record(m)
	if len(q.late) == 0 && q.offered(func() bool { return q.put(meta, payload) }) {
		return true
	}
	if !q.parting.Load() {
		return false
	}
	q.postpone(late{meta, slices.Clone(payload)})
	return true
}

// enqueue puts a view, or a snapshot to be taken, into the queue: later, if there is
// no room for it now.
func (n *Node) enqueue(q *queue, item any) {
	if k := (late{0, item}); len(q.late) > 0 || !q.offered(func() bool { return q.putWide(k) }) {
		q.postpone(k)
	}
}

func (q *queue) postpone(k late) {
	if q.late = append(q.late, k); len(q.late) == 1 {
		q.node.groups.late = append(q.node.groups.late, q)
	}
}

// catchUpQueues puts into the queues what has been waiting for room.
func (n *Node) catchUpQueues() {
	n.groups.late = slices.DeleteFunc(n.groups.late, func(q *queue) bool {
		for len(q.late) > 0 && q.offered(func() bool { return q.putWide(q.late[0]) }) {
			q.late = q.late[1:]
		}
		if len(q.late) == 0 && q.last {
			q.close()
		}
		return len(q.late) == 0
	})
}

// offered tries put, and once more after asking to be woken: the consumer may
// have made room before it could see that it is asked.
func (q *queue) offered(put func() bool) bool {
	if put() {
		return true
	}
	q.starved.Store(true)
	if put() {
		q.starved.Store(false)
		return true
	}
	return false
}

// running notes that q's goroutine has been started, or ends.
func (t *groupTable) running(q *queue, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if yes {
		t.queues[q] = struct{}{}
	} else {
		delete(t.queues, q)
	}
}

// awaitQueues waits until the queued handlers have returned from their last
// call. A queued handler itself may not wait: not for itself, nor for another
// that may be waiting for it. It returns at once.
func (t *groupTable) awaitQueues() {
	if t.onQueue() != nil {
		return
	}
	t.mu.Lock()
	list := slices.Collect(maps.Keys(t.queues))
	t.mu.Unlock()
	for _, q := range list {
		<-q.ended
	}
}

// onQueue returns the queue whose handler the caller is; nil if it is none.
func (t *groupTable) onQueue() *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queues) == 0 {
		return nil
	}
	caller := goroutineID()
	for q := range t.queues {
		if q.caller.Load() == caller {
			return q
		}
	}
	return nil
}

// record returns m as it lies in a queue.
func record(m *Message) (meta uint64, payload []byte) {
	meta, payload = pack(uint32(m.Sender), m.Level, 0), m.Payload
	if m.asked { // the question's number lies before the payload
		meta |= askedFlag
		payload = m.whole
	}
	return meta, payload
}

func (q *queue) put(meta uint64, payload []byte) bool {
	if len(payload) <= q.ring.MaxRecord() {
		return q.ring.TryPush(meta, payload)
	}
	return q.putWide(late{meta, slices.Clone(payload)})
}

func (q *queue) putWide(k late) bool {
	b, _ := k.item.([]byte)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes > 0 && len(b) > 0 && q.bytes+len(b) > maxWide || !q.ring.TryPush(k.meta|wideFlag, nil) {
		return false
	}
	q.wide = append(q.wide, k.item)
	q.bytes += len(b)
	return true
}

func (q *queue) takeWide() any {
	q.mu.Lock()
	defer q.mu.Unlock()
	item := q.wide[0]
	q.wide[0] = nil
	q.wide = q.wide[1:]
	if b, ok := item.([]byte); ok {
		q.bytes -= len(b)
	}
	return item
}

// run calls the handler until the queue is closed and empty.
func (q *queue) run() {
	q.node.label("handler", groupLabel, q.group.name)
	q.caller.Store(goroutineID())
	defer close(q.ended)
	defer q.node.groups.running(q, false)
	m := Message{node: q.node, group: q.group}
	for {
		meta, payload, ok := q.ring.Peek()
		if !ok {
			if q.ring.Wait(context.Background()) != nil {
				q.callLate(&m)
				return
			}
			continue
		}
		q.call(&m, meta, payload)
		q.ring.Next()
		q.ring.Release()
		// Woken for every record, the loop would put in one at a time.
		if q.starved.Load() && q.ring.Low() && q.starved.CompareAndSwap(true, false) {
			_ = q.node.conn.Wake() // closed: nobody waits
		}
	}
}

// callLate calls the handler with what had no room when the node ended.
func (q *queue) callLate(m *Message) {
	for _, k := range q.late {
		q.handle(m, k.meta, k.item)
	}
}

func (q *queue) call(m *Message, meta uint64, payload []byte) {
	if meta&wideFlag != 0 {
		q.handle(m, meta, q.takeWide())
	} else {
		q.deliver(m, meta, payload)
	}
}

// handle does with an item what is to be done.
func (q *queue) handle(m *Message, meta uint64, item any) {
	switch item := item.(type) {
	case GroupView:
		m.view = &item
		q.h.View(item)
	case emptied:
		close(item)
	case *offer:
		q.node.offers.fill(item, q.group.state)
	case []byte:
		q.deliver(m, meta, item)
	}
}

func (q *queue) deliver(m *Message, meta uint64, payload []byte) {
	msg := unpack(meta, len(payload))
	m.Sender, m.Level, m.Payload, m.asked, m.answerTo = int(msg.Group), msg.Level, payload, meta&askedFlag != 0, nil
	if m.asked {
		m.question, m.Payload = binary.LittleEndian.Uint64(payload), payload[askHead:]
	}
	q.h.Deliver(m)
}
