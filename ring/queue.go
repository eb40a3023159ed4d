package ring

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// queue holds the producers that wait for room in an MPSC, oldest first.
//
// A producer that finds the ring full joins and raises flagQueue, so that nobody
// takes the room it waits for. When a quarter of the ring is free, as many as fit
// are served: each gets a token and tries to push. With all of them served the
// flag goes down, and everyone pushes freely until the ring is full again: were it
// up for as long as anyone waits, each record would cost a change of goroutines.
// Somebody quicker may then take a served producer's room. It keeps its place, and
// from then on the flag stays up until it has pushed, so that nobody starves.
//
// No wake-up is lost. A producer stores unserved and then loads head; the
// consumer stores head and then loads unserved (see Bell for why one of them sees
// the other). Whoever leaves, for whatever reason, looks whether the room will do
// for those behind. So a producer waits only while more than three quarters of the
// ring are taken, and then the consumer has records left to consume and release.
type queue struct {
	unserved atomic.Bool // someone waits without a token: the consumer must look

	mu          sync.Mutex
	first, last *waiter
	untold      int // waiters without a token
	passedOver  int // waiters that had one and found the ring full
}

type waiter struct {
	next, prev *waiter
	span       uint64
	token      chan struct{} // holds one
	served     bool
	passedOver bool
}

var waiters = sync.Pool{New: func() any { return &waiter{token: make(chan struct{}, 1)} }}

// pushQueued waits for room and pushes.
func (r *MPSC) pushQueued(ctx, halt context.Context, meta uint64, payload []byte, mark *Mark) (pos uint64, err error) {
	w := waiters.Get().(*waiter)
	w.span = span(len(payload))
	r.join(w)
	defer r.leave(w)
	for {
		select {
		case <-w.token:
		case <-ctx.Done():
			return 0, fmt.Errorf("ring: no room for %d bytes: %w", len(payload), context.Cause(ctx))
		case <-halt.Done():
			return 0, context.Cause(halt)
		}
		if pos, ok := r.pushMarked(meta, payload, flagClosed, mark); ok {
			return pos, nil
		}
		if r.tail.Load()&flagClosed != 0 {
			return 0, ErrClosed
		}
		r.passOver(w)
	}
}

func (r *MPSC) join(w *waiter) {
	q := &r.waiting
	q.mu.Lock()
	defer q.mu.Unlock()
	q.append(w)
	if r.tail.Load()&flagClosed != 0 {
		q.serve(w)
	}
	r.serveFitting()
}

// leave takes w out of the queue and serves those behind it.
func (r *MPSC) leave(w *waiter) {
	q := &r.waiting
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(w)
	r.serveFitting()
}

// passOver puts w, which was served in vain, back among those to be served.
func (r *MPSC) passOver(w *waiter) {
	q := &r.waiting
	q.mu.Lock()
	defer q.mu.Unlock()
	if !w.passedOver {
		w.passedOver = true
		q.passedOver++
	}
	w.served = false
	q.untold++
	if r.tail.Load()&flagClosed != 0 {
		q.serve(w)
	}
	r.serveFitting()
}

func (r *MPSC) wake() {
	r.waiting.mu.Lock()
	defer r.waiting.mu.Unlock()
	r.serveFitting()
}

// serveFitting serves waiters in order as far as the free room goes, if enough is
// free, and sets the flags that follow from who waits. Called with the lock held.
func (r *MPSC) serveFitting() {
	q := &r.waiting
	r.raise() // before free looks at the head
	free := r.free()
	if q.untold == 0 || free < r.enough() {
		return
	}
	free -= r.size / 8 // for padding, which comes at most once
	for w := q.first; w != nil && w.span <= free; w = w.next {
		free -= w.span
		q.serve(w)
	}
	r.raise()
}

// raise makes the flags say who waits.
func (r *MPSC) raise() {
	q := &r.waiting
	if untold := q.untold > 0; q.unserved.Load() != untold {
		q.unserved.Store(untold)
	}
	if q.untold+q.passedOver > 0 {
		if r.tail.Load()&flagQueue == 0 {
			r.tail.Or(flagQueue)
		}
	} else if r.tail.Load()&flagQueue != 0 {
		r.tail.And(^uint64(flagQueue))
	}
}

// enough returns the free bytes from which on waiters are served: a quarter of the
// ring, room for any one record and its padding, and worth waking someone for.
func (r *MPSC) enough() uint64 { return r.size / 4 }

// free returns the bytes that are free at least. The head is loaded first, so
// that it cannot be past the tail.
func (r *MPSC) free() uint64 {
	head := r.head.Load()
	used := r.tail.Load()&^flagBits - head
	return r.size - min(used, r.size)
}

// serve gives w its token.
func (q *queue) serve(w *waiter) {
	if w.served {
		return
	}
	w.served = true
	q.untold--
	w.token <- struct{}{} // never blocks: w took the token before it was unserved again
}

func (q *queue) append(w *waiter) {
	w.prev = q.last
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.untold++
}

// remove takes w out and gives it back for reuse.
func (q *queue) remove(w *waiter) {
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	if !w.served {
		q.untold--
	}
	if w.passedOver {
		q.passedOver--
	}
	select {
	case <-w.token: // served after it had given up
	default:
	}
	*w = waiter{token: w.token}
	waiters.Put(w)
}
