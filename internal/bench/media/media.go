// Package media opens what a member measures: the engine, raw multicast, and
// plain sockets, all on the same interface.
package media

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"cohort/internal/bench/member"
	"cohort/internal/bench/raw"
	"cohort/iomulticast"

	"github.com/cespare/xxhash/v2"
)

// media is all that a member opened; what its levels do not need is nil.
type media struct {
	engine *engineMedium
	raw    *raw.Medium
	plain  plain // nil where the system has none, or it is not to be multicast or to answer: raw takes its place
}

// plain is blocking sockets.
type plain interface {
	member.Medium
	Close() error
}

// Open is a member.Opener. Members that open the engine wait for each other.
func Open(ctx context.Context, o member.Open, sink member.Sink) (_ member.Media, err error) {
	m := &media{}
	defer func() {
		if err != nil {
			_ = m.Close()
		}
	}()
	if slices.Contains(o.Levels, member.Raw) {
		if err := m.openRaw(o, sink); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(o.Levels, func(l string) bool { return l != member.Raw }) {
		if m.engine, err = openEngine(ctx, o, sink); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *media) openRaw(o member.Open, sink member.Sink) error {
	group, err := netip.ParseAddrPort(o.RawGroup)
	if err != nil {
		return fmt.Errorf("raw group: %w", err)
	}
	cfg := iomulticast.Config{Interface: o.Interface, Group: group, Segment: o.Segment, RecvBuffer: o.RecvBuffer, Faults: faults(o)}
	if m.raw, err = raw.Open(cfg, uint32(xxhash.Sum64String(o.Cluster)), sink); err != nil {
		return err
	}
	if o.Fanout {
		return nil
	}
	if group, err = netip.ParseAddrPort(o.IdleGroup); err != nil {
		return fmt.Errorf("idle group: %w", err)
	}
	m.plain = newPlain(o.Interface, group, sink)
	return nil
}

// faults are those that all media suffer, but for the plain sockets: other losses at each member,
// the same in each run.
func faults(o member.Open) iomulticast.Faults {
	return iomulticast.Faults{Loss: o.Loss, Seed: uint64(o.Index)}
}

// Opened tells what was opened.
func (m *media) Opened() member.Opened {
	o := member.Opened{Rank: -1, PID: os.Getpid()}
	if m.engine != nil {
		f := m.engine.node.Features()
		o.Rank, o.Engine = m.engine.node.Rank(), &f
	}
	if m.raw != nil {
		f := m.raw.Features()
		o.Raw, o.Addr = &f, m.raw.Addr().String()
	}
	return o
}

// For returns the medium of a row.
func (m *media) For(row member.Row) (member.Medium, error) {
	switch {
	case row.Level != member.Raw && m.engine != nil:
		return m.engine, nil
	case row.Level == member.Raw && row.Idle && m.plain != nil && row.Timing != member.RoundTrip:
		return m.plain, nil
	case row.Level == member.Raw && m.raw != nil:
		return m.raw, nil
	}
	return nil, fmt.Errorf("level %q was not opened", row.Level)
}

// Join joins more groups of the engine.
func (m *media) Join(ctx context.Context, groups int, limit time.Duration) (int, error) {
	if m.engine == nil {
		return 0, errors.New("join groups: no level of the engine was opened")
	}
	return m.engine.Join(ctx, groups, limit)
}

// Close closes everything.
func (m *media) Close() error {
	var errs []error
	if m.engine != nil {
		errs = append(errs, m.engine.Close())
	}
	if m.raw != nil {
		errs = append(errs, m.raw.Close())
	}
	if m.plain != nil {
		errs = append(errs, m.plain.Close())
	}
	return errors.Join(errs...)
}
