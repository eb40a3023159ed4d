package ring

import (
	"context"
	"fmt"
	"sync/atomic"
)

// SPSC is a bounded ring of records from one producer to one consumer. TryPush,
// Append and Publish are the producer's; Peek, Next, Release, Low, Empty and Wait are
// the consumer's; each side calls them one at a time. Anyone may call Close.
type SPSC struct {
	store
	closed    atomic.Bool
	token     chan struct{} // wakes the consumer; holds one
	bell      Bell
	tail      atomic.Uint64 // up to here records are published
	_         gap
	end       uint64 // the producer's: up to here records are appended
	headCache uint64 // the producer's: head when last looked at
	_         gap
	head      atomic.Uint64 // up to here the ring is free again
	_         gap
	cursor    uint64 // the consumer's: the record that is next peeked
	peeked    uint64 // the consumer's: bytes that Next goes on by
	tailCache uint64 // the consumer's: tail when last looked at
	_         gap
}

// NewSPSC returns an empty ring of capacity bytes, rounded up to a power of two
// and to at least 256. Each payload takes room in steps of 32 bytes. The ring's
// memory is one and a half times its capacity.
func NewSPSC(capacity int) *SPSC {
	return &SPSC{store: newStore(capacity), token: make(chan struct{}, 1)}
}

// TryPush is Append followed, if there was room, by Publish.
func (r *SPSC) TryPush(meta uint64, payload []byte) bool {
	if !r.Append(meta, payload) {
		return false
	}
	r.Publish()
	return true
}

// Append copies a record into the ring that the consumer will see after Publish.
// It returns false, and appends nothing, when the ring is full, after Close, and
// for a payload of more than MaxRecord bytes.
func (r *SPSC) Append(meta uint64, payload []byte) bool {
	if len(payload) > r.MaxRecord() || r.closed.Load() {
		return false
	}
	size := span(len(payload))
	pad := r.padding(r.end, size)
	end := r.end + pad + size
	if end-r.headCache > r.size {
		r.headCache = r.head.Load()
		if end-r.headCache > r.size {
			return false
		}
	}
	if pad != 0 {
		r.slot(r.end).state = r.skip(r.end)
	}
	pos := r.end + pad
	r.fill(pos, meta, payload).state = r.record(pos, len(payload))
	r.end = end
	return true
}

// Publish shows the consumer all that was appended and wakes it if it sleeps in
// Wait.
func (r *SPSC) Publish() {
	if r.tail.Load() == r.end {
		return
	}
	r.tail.Store(r.end)
	r.ring()
}

func (r *SPSC) ring() {
	if r.bell.Claim() {
		r.token <- struct{}{} // never blocks: Wait takes one token for each claim
	}
}

// Peek returns the oldest record, or false if there is none. It returns the same
// record until Next. The payload is borrowed: it is valid until the Release after
// its Next, and is not to be written to.
func (r *SPSC) Peek() (meta uint64, payload []byte, ok bool) {
	if r.cursor == r.tailCache {
		r.tailCache = r.tail.Load()
		if r.cursor == r.tailCache {
			return 0, nil, false
		}
	}
	sl := r.slot(r.cursor)
	if sl.state&r.padded() != 0 {
		// Padding is published together with the record after it.
		r.cursor = r.lap(r.cursor) + r.size
		sl = r.slot(r.cursor)
	}
	payload = r.payload(sl.state, r.cursor)
	r.peeked = span(len(payload))
	return sl.meta, payload, true
}

// Next goes on to the record after the one peeked. Without one it does nothing.
// The producer gets the room with Release.
func (r *SPSC) Next() {
	r.cursor += r.peeked
	r.peeked = 0
}

// Release gives the room of all consumed records back to the producer.
func (r *SPSC) Release() {
	if r.head.Load() != r.cursor {
		r.head.Store(r.cursor)
	}
}

// Low tells whether at most half of the ring is in use. It is the consumer's: a
// producer that found the ring full is best woken for more room than one record's.
func (r *SPSC) Low() bool { return r.tail.Load()-r.head.Load() <= r.size/2 }

// Empty tells whether Peek would find no record.
func (r *SPSC) Empty() bool {
	return r.cursor == r.tailCache && r.cursor == r.tail.Load()
}

// Wait sleeps until there is a record to peek. It returns ErrClosed when the ring
// is closed and all that was published before is consumed, and an error that wraps
// ctx's when ctx ends first.
func (r *SPSC) Wait(ctx context.Context) error {
	for {
		if done, err := r.ready(); done {
			return err
		}
		r.bell.Arm()
		if done, err := r.ready(); done {
			r.disarm()
			return err
		}
		select {
		case <-r.token:
		case <-ctx.Done():
			r.disarm()
			return fmt.Errorf("ring: waiting for a record: %w", ctx.Err())
		}
	}
}

// ready tells whether Wait is over. The order of the looks matters: what was
// published before Close is seen.
func (r *SPSC) ready() (bool, error) {
	closed := r.closed.Load()
	if !r.Empty() {
		return true, nil
	}
	if closed {
		return true, ErrClosed
	}
	return false, nil
}

// disarm ends an armed period without sleep and takes the token of one who claimed
// it meanwhile, so that none is left for the next.
func (r *SPSC) disarm() {
	if !r.bell.Disarm() {
		<-r.token
	}
}

// Close ends appending. What was published before can still be consumed. What is
// appended but not published can still be published, but a consumer that has seen
// ErrClosed may not look for it. Closing again does nothing.
func (r *SPSC) Close() {
	r.closed.Store(true)
	r.ring()
}
