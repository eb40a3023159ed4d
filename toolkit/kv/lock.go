package kv

import (
	"context"
	"errors"
	"fmt"

	"cohort/engine"
	"cohort/toolkit/lock"
)

// LockGroup is what the name of the group of a map's locks has after the map's.
const LockGroup = "/locks"

// Mutex returns a new owner's access to the lock of a key, which need not be in the map.
// The first call joins the group of the locks. Whoever has the lock sees, by Get, what
// those who had it before have put: a member's release follows its changes everywhere.
// Nothing keeps others from changing the key without the lock. Errors are the codec's and
// those of lock.Join, and wrap ctx's; a key of more than lock.MaxName bytes is refused by Lock.
func (m *Map[K, V]) Mutex(ctx context.Context, key K) (*lock.Mutex, error) {
	name, err := m.cfg.Keys.Marshal(key)
	if err != nil {
		return nil, fmt.Errorf("kv: key %v: %w", key, err)
	}
	if err := m.lockLocks(ctx); err != nil {
		return nil, err
	}
	defer m.unlockLocks()
	if m.leaving {
		return nil, fmt.Errorf("kv: %w", engine.ErrNotMember)
	}
	if m.locks == nil {
		if m.locks, err = lock.Join(ctx, m.node, m.name+LockGroup); err != nil {
			return nil, err
		}
	}
	return m.locks.Mutex(string(name), engine.Total.Safe()), nil
}

// leaveLocks gives up all locks.
func (m *Map[K, V]) leaveLocks(ctx context.Context) error {
	if err := m.lockLocks(ctx); err != nil {
		return err
	}
	defer m.unlockLocks()
	m.leaving = true
	if m.locks == nil {
		return nil
	}
	if err := m.locks.Leave(ctx); err != nil && !errors.Is(err, engine.ErrNotMember) { // left: by a Leave that was cut short
		return err
	}
	m.locks = nil
	return nil
}

// lockLocks waits for another's call that joins the locks' group, or leaves it.
func (m *Map[K, V]) lockLocks(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	select {
	case m.locking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kv: waiting for the locks: %w", context.Cause(ctx))
	}
}

func (m *Map[K, V]) unlockLocks() { <-m.locking }
