package media

import (
	"context"
	"fmt"
	"time"

	"cohort/engine"
)

// joining is how many groups a member joins at a time. Between two batches it looks
// whether there is time for another.
const joining = 1000

// Join joins groups until there are so many or the limit has passed. It returns how
// many there are.
func (m *engineMedium) Join(ctx context.Context, groups int, limit time.Duration) (int, error) {
	for end := time.Now().Add(limit); len(m.groups) < groups && time.Now().Before(end); {
		if err := m.some(ctx, min(joining, groups-len(m.groups))); err != nil {
			return 0, err
		}
	}
	return len(m.groups), nil
}

// some joins the next n groups at once.
func (m *engineMedium) some(ctx context.Context, n int) error {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s %d", groupName, len(m.groups)+i)
	}
	list, err := m.node.JoinAll(ctx, names, func(string) engine.Handler {
		h := &handler{node: m.node, sink: m.sink, members: m.members, all: make(chan struct{})}
		m.full = append(m.full, h.all)
		return h
	})
	m.groups = append(m.groups, list...)
	return err
}

// met waits until all members are in each of the first n groups.
func (m *engineMedium) met(ctx context.Context, n int) error {
	for i, full := range m.full[:n] {
		select {
		case <-full:
		case <-ctx.Done():
			return fmt.Errorf("waiting for all members to join group %d: %w", i, ctx.Err())
		}
	}
	return nil
}
