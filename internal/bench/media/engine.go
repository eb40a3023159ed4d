package media

import (
	"context"
	"fmt"
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

// groupName is how the names of the groups begin that the engine's rows are sent to.
const groupName = "bench"

// engineMedium is a node of the engine. The view is formed once; each row sends
// at its own level.
type engineMedium struct {
	node    *engine.Node
	members int
	sink    member.Sink
	groups  []*engine.Group
	full    []<-chan struct{} // of each group: closed when all members are in it
	level   engine.Level
	spread  int // groups that the row is sent to, in turn
	at      int // the last one's index
}

// handler passes deliveries on, and tells when all members have joined.
type handler struct {
	node    *engine.Node
	sink    member.Sink
	members int
	all     chan struct{}
	once    sync.Once
	ring    []uint8 // rank in the ring by that in the group
}

func (h *handler) Deliver(m *engine.Message) { h.sink(int(h.ring[m.Sender]), m.Payload) }

func (h *handler) View(v engine.GroupView) {
	ring := h.node.View()
	h.ring = h.ring[:0]
	for _, m := range v.Members {
		h.ring = append(h.ring, uint8(ring.Rank(m.ID)))
	}
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
		Expect: o.Members, Segment: o.Segment, RecvBuffer: o.RecvBuffer, Timeout: timeout, Transport: transport, Faults: faults(o),
		Port: o.Port, Seeds: o.Seeds,
		Logger: newLogger(),
	})
	if err != nil {
		return nil, err
	}
	m := &engineMedium{node: node, members: o.Members, sink: sink}
	if err = m.some(ctx, 1); err == nil {
		err = m.met(ctx, 1)
	}
	if err != nil {
		_ = node.Close()
		return nil, err
	}
	return m, nil
}

// Begin sets the level of the row and the groups that it is sent to.
func (m *engineMedium) Begin(row member.Row) (err error) {
	if m.spread = max(row.Groups, 1); m.spread > len(m.groups) {
		return fmt.Errorf("a row for %d groups: %d were joined", m.spread, len(m.groups))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := m.met(ctx, m.spread); err != nil {
		return err
	}
	m.level, err = order.Parse(row.Level)
	return err
}

// next returns the group of the next message.
func (m *engineMedium) next() *engine.Group {
	if m.at++; m.at >= m.spread {
		m.at = 0
	}
	return m.groups[m.at]
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
		if now := clock.Now(); due > now {
			clock.SleepUntil(max(due, now+load.Tick))
		}
		if err := m.next().Send(ctx, m.level, src.Next()); err != nil {
			return err
		}
	}
	return nil
}

// flood sends without looking at the clock.
func (m *engineMedium) flood(ctx context.Context, src *load.Source) error {
	for src.Due() != clock.Never {
		if err := m.next().Send(ctx, m.level, src.Next()); err != nil {
			return err
		}
	}
	return nil
}

// Answer sends a message from inside the handler.
func (m *engineMedium) Answer(message []byte) error {
	return m.groups[0].Send(context.Background(), m.level, message)
}

// Losses returns what the node has counted.
func (m *engineMedium) Losses() member.Losses {
	s := m.node.Stats()
	return member.Losses{Dropped: s.DroppedByKernel, Retransmitted: s.Retransmitted}
}

// Flow returns the node's token passes and its window.
func (m *engineMedium) Flow() member.Flow {
	s := m.node.Stats()
	return member.Flow{TokenPasses: s.TokenPasses, WindowBytes: s.WindowBytes, WindowLimit: s.WindowLimit}
}

// Close leaves the ring.
func (m *engineMedium) Close() error { return m.node.Close() }
