package kv

import (
	"context"
	"fmt"

	"cohort/engine"
)

// Event is a change of a map, or all of it.
type Event[K comparable, V any] struct {
	// All is all of the map; not nil in a watcher's first event, and where it has
	// missed changes: forget what was known. The rest is zero then.
	All map[K]V

	Key     K
	Value   V
	Version uint64 // of the change: each has a higher one than the one before
	Deleted bool
}

// Watcher tells the changes of a map at this member, in the order of the map.
type Watcher[K comparable, V any] struct {
	m *Map[K, V]
	w *watcher
}

// watchLimit is how many changes wait for one watcher. One that falls behind further
// is given the whole map instead: it does not hold up the group, nor grow.
const watchLimit = 1024

// watcher is the part that the store knows.
type watcher struct {
	queue []change
	lost  bool          // changes have been missed
	wake  chan struct{} // holds one
}

func (w *watcher) add(k change) {
	switch {
	case w.lost:
		return
	case len(w.queue) >= watchLimit:
		w.lose()
		return
	}
	w.queue = append(w.queue, k)
	w.rouse()
}

func (w *watcher) lose() {
	w.queue, w.lost = nil, true
	w.rouse()
}

func (w *watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // it is to wake already
	}
}

// Watch begins to watch the map. The caller has to Close the watcher.
func (m *Map[K, V]) Watch() *Watcher[K, V] {
	w := &watcher{wake: make(chan struct{}, 1)}
	w.lose() // so that the first event is all there is
	m.replica.ReadLocal(func() { m.store.watchers[w] = struct{}{} })
	return &Watcher[K, V]{m, w}
}

// Close ends watching. Next must not be called any more.
func (w *Watcher[K, V]) Close() {
	w.m.replica.ReadLocal(func() { delete(w.m.store.watchers, w.w) })
}

// Next returns the next event, and waits for it if need be. It is for one goroutine at a
// time. Errors are the codecs', or wrap ctx's, engine.ErrClosed or engine.ErrNotMember. A change
// that cannot be decoded is passed over; if all of the map cannot be, the next event is all of it
// again.
func (w *Watcher[K, V]) Next(ctx context.Context) (e Event[K, V], err error) {
	if ctx == nil {
		return e, errNoContext
	}
	for {
		all, next, ok := w.take()
		switch {
		case ok && next == nil:
			if e.All, err = w.m.decode(all); err != nil {
				w.m.replica.ReadLocal(w.w.lose) // changes alone would not do
			}
			return e, err
		case ok:
			return w.event(*next)
		}
		select {
		case <-w.w.wake:
		case <-ctx.Done():
			return e, fmt.Errorf("kv: watching: %w", context.Cause(ctx))
		case <-w.m.node.Done():
			return e, fmt.Errorf("kv: watching: %w", engine.ErrClosed)
		case <-w.m.replica.Group().Gone():
			return e, fmt.Errorf("kv: watching: %w", engine.ErrNotMember)
		}
	}
}

// take takes the next change, or the whole map; ok if there is either.
func (w *Watcher[K, V]) take() (all []change, next *change, ok bool) {
	w.m.replica.ReadLocal(func() {
		switch q := w.w.queue; {
		case w.w.lost:
			w.w.lost, ok = false, true
			all = w.m.store.list()
		case len(q) > 0:
			next, ok = &q[0], true
			w.w.queue = q[1:]
		}
	})
	return all, next, ok
}

func (w *Watcher[K, V]) event(k change) (e Event[K, V], err error) {
	e.Version, e.Deleted = k.version, k.deleted
	if e.Key, err = w.m.key(k.key); err == nil && !k.deleted {
		e.Value, err = w.m.value(k.entry)
	}
	return e, err
}
