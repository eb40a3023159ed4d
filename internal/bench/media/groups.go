package media

import (
	"context"
	"fmt"
	"time"

	"cohort/engine"

	"golang.org/x/sync/errgroup"
)

// joining is how many groups a member joins at a time: each waits for its place in the
// total order, and many places come with one turn of the token.
const joining = 64

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
	first := len(m.groups)
	m.groups = append(m.groups, make([]*engine.Group, n)...)
	m.full = append(m.full, make([]<-chan struct{}, n)...)
	all, ctx := errgroup.WithContext(ctx)
	for i := first; i < first+n; i++ {
		all.Go(func() (err error) {
			m.groups[i], m.full[i], err = m.join(ctx, fmt.Sprintf("%s %d", groupName, i))
			return err
		})
	}
	return all.Wait()
}

// join joins one group.
func (m *engineMedium) join(ctx context.Context, name string) (*engine.Group, <-chan struct{}, error) {
	h := &handler{sink: m.sink, members: m.members, all: make(chan struct{})}
	g, err := m.node.Join(ctx, name, h)
	return g, h.all, err
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
