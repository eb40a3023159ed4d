package media

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"cohort/engine"
	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/order"
)

// timeout is long, for the machine is meant to be overloaded: nobody is to be
// taken for dead that waits for its turn on a core.
const timeout = 5 * time.Second

// groupName is the one group that all of the engine's rows are sent to.
const groupName = "bench"

// engineMedium is a node of the engine. The view is formed once; each row sends
// at its own level.
type engineMedium struct {
	node  *engine.Node
	group *engine.Group
	level engine.Level
}

// handler passes deliveries on, and tells when all members have joined.
type handler struct {
	sink    member.Sink
	members int
	all     chan struct{}
	once    sync.Once
}

func (h *handler) Deliver(m *engine.Message) { h.sink(m.Sender, m.Payload) }

func (h *handler) View(v engine.GroupView) {
	if len(v.Members) == h.members {
		h.once.Do(func() { close(h.all) })
	}
}

func openEngine(ctx context.Context, o member.Open, sink member.Sink) (*engineMedium, error) {
	transport := engine.Multicast
	if o.Fanout {
		transport = engine.Fanout
	}
	node, err := engine.Open(ctx, engine.Config{
		Cluster: o.Cluster, Name: fmt.Sprintf("vsbench member %d", o.Index), Interface: o.Interface,
		Expect: o.Members, Segment: o.Segment, Timeout: timeout, Transport: transport, Faults: faults(o),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	m := &engineMedium{node: node}
	h := &handler{sink: sink, members: o.Members, all: make(chan struct{})}
	if m.group, err = node.Join(ctx, groupName, h); err != nil {
		_ = node.Close()
		return nil, err
	}
	select {
	case <-h.all:
		return m, nil
	case <-ctx.Done():
		_ = node.Close()
		return nil, fmt.Errorf("waiting for all members to join the group: %w", ctx.Err())
	}
}

// Begin sets the level of the row.
func (m *engineMedium) Begin(row member.Row) (err error) {
	m.level, err = order.Parse(row.Level)
	return err
}

// Send sends what src makes, when it is due.
func (m *engineMedium) Send(ctx context.Context, src *load.Source) error {
	if src.Due() == 0 {
		return m.flood(ctx, src)
	}
	runtime.LockOSThread() // to sleep exactly
	defer runtime.UnlockOSThread()
	if err := clock.PrepareThread(); err != nil {
		return err
	}
	for due := src.Due(); due != clock.Never; due = src.Due() {
		if due > clock.Now() {
			clock.SleepUntil(due)
		}
		if err := m.group.Send(ctx, m.level, src.Next()); err != nil {
			return err
		}
	}
	return nil
}

// flood sends without looking at the clock.
func (m *engineMedium) flood(ctx context.Context, src *load.Source) error {
	for src.Due() != clock.Never {
		if err := m.group.Send(ctx, m.level, src.Next()); err != nil {
			return err
		}
	}
	return nil
}

// Losses returns what the node has counted.
func (m *engineMedium) Losses() member.Losses {
	s := m.node.Stats()
	return member.Losses{Dropped: s.DroppedByKernel, Retransmitted: s.Retransmitted}
}

// Close leaves the ring.
func (m *engineMedium) Close() error { return m.node.Close() }
