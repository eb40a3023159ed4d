package main

import (
	"context"
	"encoding/binary"
	"errors"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
)

// Begin notes the rank.
func (m *raftMedium) Begin(row member.Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self = byte(row.Self)
	return m.failed
}

// Send proposes what src makes, when it is due, all that is due in one entry.
func (m *raftMedium) Send(ctx context.Context, src *load.Source) error {
	defer context.AfterFunc(ctx, m.turned.Broadcast)()
	return exactly(func() error {
		for due := src.Due(); due != clock.Never; due = src.Due() {
			if due > clock.Now() {
				clock.SleepUntil(due)
			}
			if err := m.propose(ctx, m.fill(src)); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill makes an entry of the messages that are due.
func (m *raftMedium) fill(src *load.Source) []byte {
	size := entrySize
	if src.Due() != 0 {
		size = src.Size + binary.MaxVarintLen64
	}
	entry := append(make([]byte, 0, size), m.self)
	for now := clock.Now(); src.Due() <= now; {
		entry = binary.AppendUvarint(entry, uint64(src.Size))
		if entry = append(entry, src.Next()...); len(entry)+src.Size+binary.MaxVarintLen64 > entrySize {
			break
		}
	}
	return entry
}

// propose waits for room and then proposes an entry; a follower sends it to the leader.
func (m *raftMedium) propose(ctx context.Context, entry []byte) error {
	m.mu.Lock()
	for (m.flying > inFlight || m.links.owed(m.index) > inFlight) && m.failed == nil && ctx.Err() == nil {
		m.turned.Wait()
	}
	m.flying += len(entry)
	err := errors.Join(m.failed, ctx.Err())
	m.mu.Unlock()
	if err != nil {
		return err
	}
	m.turn(func() error { return m.node.Propose(entry) })
	return nil
}
