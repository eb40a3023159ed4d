// Package kv is a replicated map: each member of a group has all of it, reads it without
// asking anybody, and is told of every change in order. Changes are made by all members
// in one order (package rsm), so the maps are the same.
package kv

import (
	"context"
	"fmt"

	"cohort/engine"
	"cohort/toolkit/lock"
	"cohort/toolkit/rsm"
)

// errNoContext is for a context that is nil; see package engine.
var errNoContext = fmt.Errorf("kv: %w: the context is nil, want one such as context.Background()", engine.ErrConfig)

// Map is one member's copy of a map. Its methods may be called from any goroutine, but
// not inside a handler of the node.
//
// A key has a version while it is there: a number that no change of the map before had,
// and larger than all of them. So it is a fencing token as well.
type Map[K comparable, V any] struct {
	node    *engine.Node
	name    string
	replica *rsm.Replica
	store   *store
	cfg     Config[K, V]
	locking chan struct{} // holds one: who uses what follows
	leaving bool          // Leave has been called: no locks any more
	locks   *lock.Locks   // nil: none was wanted yet
}

// Config says how keys and values are encoded. All members must agree.
type Config[K comparable, V any] struct {
	Keys   Codec[K] // equal keys must have equal encodings. Default JSON
	Values Codec[V] // Default JSON

	// Durable has the map survive that all members fail at once. Its storage is the map's
	// until Map.Released. Default: it does not.
	Durable *rsm.Durability
}

// Join makes the node a member of the group of that name, which keeps the map. Errors are
// those of rsm.Join and rsm.JoinDurable.
func Join[K comparable, V any](ctx context.Context, node *engine.Node, name string, cfg Config[K, V]) (*Map[K, V], error) {
	if cfg.Keys == nil {
		cfg.Keys = JSON[K]{}
	}
	if cfg.Values == nil {
		cfg.Values = JSON[V]{}
	}
	m := &Map[K, V]{node: node, name: name, store: newStore(), cfg: cfg, locking: make(chan struct{}, 1)}
	var err error
	if cfg.Durable != nil {
		m.replica, err = rsm.JoinDurable(ctx, node, name, m.store, *cfg.Durable)
	} else {
		m.replica, err = rsm.Join(ctx, node, name, m.store)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Get returns the key's value as it is in this member's copy, and its version; a version
// of 0 says that it has none. It asks nobody: what others have done just now may lack.
// Errors are the codecs'.
func (m *Map[K, V]) Get(key K) (v V, version uint64, err error) {
	return m.get(key, func(f func()) error { m.replica.ReadLocal(f); return nil })
}

// GetLatest is Get after all changes, of any member, that were done before it was called:
// gets and changes are linearizable. It costs a message, as rsm.Replica.Read does, whose
// errors it returns.
func (m *Map[K, V]) GetLatest(ctx context.Context, key K) (v V, version uint64, err error) {
	return m.get(key, func(f func()) error { return m.replica.Read(ctx, f) })
}

func (m *Map[K, V]) get(key K, read func(func()) error) (v V, version uint64, err error) {
	k, err := m.cfg.Keys.Marshal(key)
	if err != nil {
		return v, 0, fmt.Errorf("kv: key %v: %w", key, err)
	}
	var e entry
	if err := read(func() { e = m.store.entries[string(k)] }); err != nil || e.version == 0 {
		return v, 0, err
	}
	v, err = m.value(e)
	return v, e.version, err
}

func (m *Map[K, V]) value(e entry) (V, error) {
	v, err := m.cfg.Values.Unmarshal(e.value)
	if err != nil {
		err = fmt.Errorf("kv: the value of version %d: %w", e.version, err)
	}
	return v, err
}

// Put sets the key's value and returns the version that it has then. Errors of this and
// of all that changes the map are the codecs' and those of rsm.Replica.Propose: an
// *rsm.UnknownError says that it may have been done.
func (m *Map[K, V]) Put(ctx context.Context, key K, v V) (version uint64, err error) {
	_, version, err = m.put(ctx, anyVersion, key, v)
	return version, err
}

// CompareAndSwap is Put if the key has this version, 0 for none. It returns the version
// that the key has then, and whether it was swapped.
func (m *Map[K, V]) CompareAndSwap(ctx context.Context, key K, old uint64, v V) (version uint64, swapped bool, err error) {
	swapped, version, err = m.put(ctx, old, key, v)
	return version, swapped, err
}

func (m *Map[K, V]) put(ctx context.Context, old uint64, key K, v V) (done bool, version uint64, err error) {
	b, err := m.cfg.Values.Marshal(v)
	if err != nil {
		return false, 0, fmt.Errorf("kv: the value of key %v: %w", key, err)
	}
	return m.change(ctx, key, command{kind: put, version: old, value: b})
}

// Delete removes the key, and tells whether it was there.
func (m *Map[K, V]) Delete(ctx context.Context, key K) (deleted bool, err error) {
	deleted, _, err = m.change(ctx, key, command{kind: remove, version: anyVersion})
	return deleted, err
}

// CompareAndDelete is Delete if the key has this version.
func (m *Map[K, V]) CompareAndDelete(ctx context.Context, key K, old uint64) (deleted bool, err error) {
	deleted, _, err = m.change(ctx, key, command{kind: remove, version: old})
	return deleted, err
}

func (m *Map[K, V]) change(ctx context.Context, key K, c command) (done bool, version uint64, err error) {
	if c.key, err = m.cfg.Keys.Marshal(key); err != nil {
		return false, 0, fmt.Errorf("kv: key %v: %w", key, err)
	}
	b, err := m.replica.Propose(ctx, c.append(nil))
	if err != nil {
		return false, 0, err
	}
	done, version, ok := parseResult(b)
	if !ok {
		return false, 0, fmt.Errorf("kv: a result of %d bytes", len(b))
	}
	return done, version, nil
}

// Copy returns all of this member's copy. Errors are the codecs'.
func (m *Map[K, V]) Copy() (map[K]V, error) {
	var list []change
	m.replica.ReadLocal(func() { list = m.store.list() })
	return m.decode(list)
}

func (m *Map[K, V]) decode(list []change) (map[K]V, error) {
	all := make(map[K]V, len(list))
	for _, k := range list {
		key, err := m.key(k.key)
		if err != nil {
			return nil, err
		}
		if all[key], err = m.value(k.entry); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (m *Map[K, V]) key(k string) (K, error) {
	key, err := m.cfg.Keys.Unmarshal([]byte(k))
	if err != nil {
		err = fmt.Errorf("kv: key %q: %w", k, err)
	}
	return key, err
}

// Len returns how many keys this member's copy has.
func (m *Map[K, V]) Len() (n int) {
	m.replica.ReadLocal(func() { n = len(m.store.entries) })
	return n
}

// Released returns a channel that is closed when the storage of Config.Durable is the caller's
// again, to be closed or given to another map: it is that of rsm.Replica.Released. Without a
// storage it is closed from the beginning.
func (m *Map[K, V]) Released() <-chan struct{} { return m.replica.Released() }

// Leave leaves the group, and that of the locks, and waits until Released. Watchers end.
func (m *Map[K, V]) Leave(ctx context.Context) error {
	if err := m.leaveLocks(ctx); err != nil {
		return err
	}
	return m.replica.Leave(ctx)
}
