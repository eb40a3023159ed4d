package ring

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Flags in the low bits of MPSC.tail, where producers see them for nothing.
const (
	flagClosed = 1 << iota // nothing is pushed any more
	flagQueue              // producers wait for room, and go first
)

// MPSC is a bounded ring of records from many producers to one consumer. Pushing
// takes no lock while there is room. TryPush, Push and Close may be called by any
// goroutine; the other methods by the consumer only, one at a time.
//
// A record that is pushed stays out of the consumer's sight while one that
// reserved its room earlier is still being copied in, which its producer ends by
// itself: so each producer that finishes a push, and not only the first into an
// empty ring, must ring the consumer's [Bell] if there is one, and must do so
// before it waits in Push again.
type MPSC struct {
	store
	_         gap
	tail      atomic.Uint64 // where the next record is reserved, and flags
	_         gap
	headCache atomic.Uint64 // a head seen before: it may lag, which only costs a look at head
	_         gap
	head      atomic.Uint64 // up to here the ring is free again; written by the consumer
	_         gap
	cursor    uint64 // the consumer's: the record that is next peeked
	peeked    uint64 // bytes that Next goes on by
	_         gap
	waiting   queue
}

// NewMPSC returns an empty ring of capacity bytes, rounded up to a power of two
// and to at least 256. Each payload takes room in steps of 32 bytes. The ring's
// memory is one and a half times its capacity.
func NewMPSC(capacity int) *MPSC { return &MPSC{store: newStore(capacity)} }

// TryPush copies a record into the ring. It returns false, and pushes nothing,
// when the ring is full, while calls of Push wait for room (they go first), after
// Close, and for a payload of more than MaxRecord bytes.
func (r *MPSC) TryPush(meta uint64, payload []byte) bool {
	_, ok := r.TryPushAt(meta, payload)
	return ok
}

// TryPushAt is TryPush, and tells the record's position.
func (r *MPSC) TryPushAt(meta uint64, payload []byte) (pos uint64, ok bool) {
	if len(payload) > r.MaxRecord() {
		return 0, false
	}
	return r.push(meta, payload, flagClosed|flagQueue)
}

// Push copies a record into the ring and waits for room if there is none. ctx is
// looked at only while waiting; its cause is wrapped. Push returns an error that
// is ErrClosed after Close, and one that is ErrTooLarge for a payload of more than
// MaxRecord bytes. With an error nothing was pushed. Those that wait get their turn
// in the order they came; those whose turn comes at once race among themselves.
func (r *MPSC) Push(ctx context.Context, meta uint64, payload []byte) error {
	_, err := r.PushAt(ctx, context.Background(), meta, payload, nil)
	return err
}

// PushAt is Push, tells the record's position, and sets mark to it if there is one. Waiting ends
// with halt too, and the error is then its cause: a context made of both would be memory for each
// record that waits.
func (r *MPSC) PushAt(ctx, halt context.Context, meta uint64, payload []byte, mark *Mark) (pos uint64, err error) {
	if len(payload) > r.MaxRecord() {
		return 0, fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLarge, len(payload), r.MaxRecord())
	}
	if pos, ok := r.pushMarked(meta, payload, flagClosed|flagQueue, mark); ok {
		return pos, nil
	}
	return r.pushQueued(ctx, halt, meta, payload, mark)
}

// push reserves room, unless one of the flags in barred is up, and fills it.
func (r *MPSC) push(meta uint64, payload []byte, barred uint64) (pos uint64, ok bool) {
	size := span(len(payload))
	pos, pad, ok := r.reserve(size, barred)
	if !ok {
		return 0, false
	}
	if pad != 0 {
		atomic.StoreUint64(&r.slot(pos).state, r.skip(pos))
		pos += pad
	}
	sl := r.fill(pos, meta, payload)
	r.prepare(pos, size)
	atomic.StoreUint64(&sl.state, r.record(pos, len(payload)))
	return pos, true
}

// pushMarked is push for a record that may have a mark.
func (r *MPSC) pushMarked(meta uint64, payload []byte, barred uint64, mark *Mark) (pos uint64, ok bool) {
	if mark != nil {
		mark.begin()
		defer func() { mark.end(pos, ok) }()
	}
	return r.push(meta, payload, barred)
}

// How far ahead and how many bytes at most prepare looks.
const (
	prepareAhead = 1024
	prepareMost  = 2048
)

// prepare brings the memory of a record to come into this core's cache. The
// consumer's core read it a lap ago and still holds it: without this each push
// would wait for every line of it in turn, since what publishes a record waits
// for all stores before it.
func (r *MPSC) prepare(pos, size uint64) {
	ahead := size
	for ahead < prepareAhead {
		ahead *= 2
	}
	size = min(size, prepareMost)
	if at := pos + ahead; at+size-r.headCache.Load() <= r.size && r.offset(at)+size <= r.size {
		prefetch(&r.data[r.offset(at)], size)
		prefetch((*byte)(unsafe.Pointer(r.slot(at))), 1)
	}
}

// reserve takes pad+size bytes at pos, pad of them up to the end of the lap.
func (r *MPSC) reserve(size, barred uint64) (pos, pad uint64, ok bool) {
	for {
		// The head is loaded before the tail, so that it cannot be past it.
		head := r.headCache.Load()
		tail := r.tail.Load()
		if tail&barred != 0 {
			return 0, 0, false
		}
		pos = tail &^ flagBits
		pad = r.padding(pos, size)
		if pos+pad+size-head > r.size {
			head = r.head.Load()
			r.headCache.Store(head)
			if pos+pad+size-head > r.size {
				if r.tail.Load() != tail {
					continue // the head may belong to a later tail
				}
				return 0, 0, false
			}
		}
		if r.tail.CompareAndSwap(tail, tail+pad+size) {
			return pos, pad, true
		}
	}
}

// Peek returns the oldest record, or false if there is none to be had yet. It
// returns the same record until Next. The payload is borrowed: it is valid until
// the Release after its Next, and is not to be written to.
func (r *MPSC) Peek() (meta uint64, payload []byte, ok bool) {
	for {
		sl := r.slot(r.cursor)
		state := atomic.LoadUint64(&sl.state)
		if !r.names(state, r.cursor) {
			return 0, nil, false
		}
		if state&r.padded() == 0 {
			payload = r.payload(state, r.cursor)
			r.peeked = span(len(payload))
			return sl.meta, payload, true
		}
		r.cursor = r.lap(r.cursor) + r.size
	}
}

// Next goes on to the record after the one peeked. Without one it does nothing.
// Producers get the room with Release.
func (r *MPSC) Next() {
	r.cursor += r.peeked
	r.peeked = 0
}

// Release gives the room of all consumed records back to the producers and wakes
// those that wait for it, once a quarter of the ring is free. It is cheap, but
// writes to memory that producers read: once for a batch of records is best. A
// consumer must call it before it sleeps.
func (r *MPSC) Release() {
	if r.head.Load() == r.cursor {
		return
	}
	r.head.Store(r.cursor)
	if r.waiting.unserved.Load() && r.free() >= r.enough() {
		r.wake()
	}
}

// Empty tells whether Peek would find no record.
func (r *MPSC) Empty() bool {
	_, _, ok := r.Peek()
	return !ok
}

// Pending returns the bytes of the ring that hold records not consumed yet, those
// still being copied in included.
func (r *MPSC) Pending() int { return int(r.End() - r.cursor) }

// End returns the position behind all records that are in the ring now, those still
// being copied in included.
func (r *MPSC) End() uint64 { return r.tail.Load() &^ flagBits }

// Passed tells whether Next has gone past all records before a position that End
// returned. It is the consumer's.
func (r *MPSC) Passed(end uint64) bool { return r.cursor >= end }

// Close ends pushing, now and for those that wait: they return ErrClosed. What
// was pushed before can still be consumed. Closing again does nothing.
func (r *MPSC) Close() {
	r.tail.Or(flagClosed)
	r.waiting.mu.Lock()
	defer r.waiting.mu.Unlock()
	for w := r.waiting.first; w != nil; w = w.next {
		r.waiting.serve(w)
	}
}
