package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"cohort/groups"
)

// soon is a timeout by which a node that stands still is expelled before long.
func soon(c *Config) { c.Timeout = 300 * time.Millisecond }

// stall has the others expel n, as SIGSTOP would, and waits until it has learned of it.
func stall(t *testing.T, n, other *Node) {
	t.Helper()
	before := n.Stats().Expelled
	locked(n, func() {
		members := len(other.View().Members)
		eventually(t, "a view without the one that stands still", func() bool { return len(other.View().Members) < members })
	})
	eventually(t, "it knows that it is out", func() bool { return n.Stats().Expelled > before })
}

// guarded is a ledger whose Restore waits at a gate, and that counts what is called meanwhile.
type guarded struct {
	ledger
	gate      *blocker
	restoring atomic.Int32
	meanwhile atomic.Int32 // calls of View
}

func (h *guarded) View(v GroupView) {
	h.meanwhile.Add(h.restoring.Load())
	h.ledger.View(v)
}

func (h *guarded) Restore(r io.Reader) error {
	h.restoring.Add(1)
	defer h.restoring.Add(-1)
	h.gate.wait()
	return h.ledger.Restore(r)
}

// TestJoinWhileComingBack: a node that is back in the ring joins its groups again while a Join
// has just been called. One of the two joins is enough.
func TestJoinWhileComingBack(t *testing.T) {
	nodes := openRing(t, 2, nil)
	if _, err := nodes[0].Join(patient(t), "g", &ledger{}); err != nil {
		t.Fatal(err)
	}
	n, done := nodes[1], make(chan error, 1)
	locked(n, func() {
		go func() { _, err := n.Join(patient(t), "g", &ledger{}); done <- err }()
		eventually(t, "the join waits to be sent", func() bool { return n.submits.Pending() > 0 })
		n.arrived()
	})
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(awaitFor / 2):
		t.Error("Join waits for a state that nobody offers")
	}
}

// onLine is a log that calls f, where the line is logged, for each line with this text.
type onLine struct {
	slog.Handler
	text string
	f    func()
}

func (h onLine) Enabled(context.Context, slog.Level) bool { return true }

func (h onLine) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.text {
		h.f()
	}
	return nil
}

func (h onLine) WithAttrs([]slog.Attr) slog.Handler { return h }

// TestLeaveWhileComingBack: a node leaves a group when it is back in the ring, and not yet in
// its groups. It does not join that one again.
func TestLeaveWhileComingBack(t *testing.T) {
	cluster, done := clusterOf(t), make(chan error, 1)
	var n *Node
	var g *Group
	back := func() {
		if g == nil { // it is in the ring for the first time
			return
		}
		go func() { done <- g.Leave(patient(t)) }()
		eventually(t, "the leave waits to be sent", func() bool { return n.submits.Pending() > 0 })
	}
	nodes := []*Node{open(t, cluster, "a", soon), open(t, cluster, "b", soon)}
	n = open(t, cluster, "c", func(c *Config) {
		soon(c)
		c.Logger = slog.New(onLine{slog.DiscardHandler, "in the ring", back})
	})
	list := joinAll(t, append(nodes, n), "g", func(int) Handler { return &ledger{} })
	locked(n, func() { g = list[2] })
	stall(t, n, nodes[0])
	select {
	case err := <-done:
		if err != nil || !g.left() {
			t.Errorf("Leave: %v, left: %v", err, g.left())
		}
	case <-time.After(awaitFor / 2):
		t.Fatal("Leave waits for a view that does not come")
	}
	locked(n, func() { g = nil }) // it may be expelled once more
	if _, err := n.Join(patient(t), "g", HandlerFunc(func(*Message) {})); err != nil {
		t.Error(err)
	}
	eventually(t, "all see it in the group again", func() bool { return list[0].Size() == 3 && list[1].Size() == 3 })
}

// TestJoinWaitsForRoomWhenExpelled: room that comes about by the expulsion itself is used by
// Joins that have waited for it.
func TestJoinWaitsForRoomWhenExpelled(t *testing.T) {
	cluster := clusterOf(t)
	b := newBlocker(t)
	defer b.resume()
	var nodes []*Node
	for i := range 3 {
		nodes = append(nodes, open(t, cluster, fmt.Sprint("node", i), func(c *Config) {
			soon(c)
			c.SubmitRing, c.HoldLimit, c.SlowLimit = 1<<16, 1<<20, time.Minute
		}))
	}
	const many = 6
	names := manyNames(many)
	if _, err := nodes[0].JoinAll(patient(t), names, func(string) Handler { return &ledger{} }); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[0].Join(patient(t), "full", Queued(HandlerFunc(func(*Message) { b.wait() }), 0)); err != nil {
		t.Fatal(err)
	}
	n := nodes[2]
	g, err := n.Join(patient(t), "full", HandlerFunc(func(*Message) {}))
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	go func() {
		for g.Send(context.Background(), FIFO, make([]byte, 1000)) == nil {
			sent.Add(1)
		}
	}()
	steadily(t, "senders", sent.Load)
	ctx, cancel := context.WithTimeout(context.Background(), awaitFor/2)
	defer cancel()
	done := make(chan error, many)
	for _, name := range names {
		go func() { _, err := n.Join(ctx, name, &ledger{}); done <- err }()
	}
	eventually(t, "all Joins have begun", func() bool { return len(n.groups.own()) == many+1 })
	time.Sleep(50 * time.Millisecond)
	stall(t, n, nodes[1])
	b.resume()
	for range many {
		if err := <-done; err != nil && !errors.Is(err, ErrExpelled) {
			t.Error(err)
		}
	}
}

// comesBack opens three nodes of which the last is expelled, and in the Restore that follows.
func comesBack(t *testing.T, gate *blocker) (nodes []*Node, g *Group, h *guarded) {
	t.Helper()
	cluster, first := clusterOf(t), newBlocker(t)
	first.resume()
	for i := range 3 {
		nodes = append(nodes, open(t, cluster, fmt.Sprint("node", i), soon))
	}
	if _, err := nodes[0].Join(patient(t), "g", &ledger{}); err != nil {
		t.Fatal(err)
	}
	h = &guarded{gate: first}
	g, err := nodes[2].Join(patient(t), "g", h)
	if err != nil {
		t.Fatal(err)
	}
	h.gate = gate
	stall(t, nodes[2], nodes[0])
	eventually(t, "the state is being restored", func() bool { return h.restoring.Load() == 1 })
	return nodes, g, h
}

// TestExpelledWhileRestoring: a node is expelled again while the state that it gets after an
// expulsion is being restored, and once more when it waits for that to end. Its handler is
// told after Restore.
func TestExpelledWhileRestoring(t *testing.T) {
	gate := newBlocker(t)
	defer gate.resume()
	nodes, g, h := comesBack(t, gate)
	n := nodes[2]
	stall(t, n, nodes[0])
	eventually(t, "the group waits for Restore to end", func() (waits bool) {
		locked(n, func() { waits = g.again })
		return waits
	})
	stall(t, n, nodes[0])
	gate.resume()
	began := time.Now()
	eventually(t, "it is back", func() (back bool) {
		locked(n, func() { back = g.id != 0 && g.restore == nil && !g.away.Load() })
		return back
	})
	if took := time.Since(began); took > awaitFor/2 {
		t.Errorf("back after %v", took)
	}
	var told []bool
	for _, v := range h.views {
		if !v.Blocked { // who wakes up may hear of closed connections before it hears that it was expelled
			told = append(told, v.Expelled)
		}
	}
	if want := []bool{false, true, true, false}; h.meanwhile.Load() > 0 || !slices.Equal(told, want) {
		t.Errorf("%d calls of View in Restore; views that tell of an expulsion: %v, want %v", h.meanwhile.Load(), told, want)
	}
}

// TestCloseWhileRestoring: the handler is not told of the view without its node.
func TestCloseWhileRestoring(t *testing.T) {
	gate := newBlocker(t)
	defer gate.resume()
	nodes, _, h := comesBack(t, gate)
	done := make(chan error, 1)
	go func() { done <- nodes[2].Close() }()
	eventually(t, "the view without it", func() bool { return len(nodes[0].View().Members) == 2 })
	time.Sleep(50 * time.Millisecond)
	gate.resume()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if h.meanwhile.Load() > 0 {
		t.Error("View is called in Restore")
	}
}

// TestPassedOverMessagesAreCounted: what was accepted while the node was being expelled, and
// comes before it is in the group again, is lost.
func TestPassedOverMessagesAreCounted(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	g := joinAll(t, []*Node{n}, "g", func(int) Handler { return HandlerFunc(func(*Message) {}) })[0]
	locked(n, func() {
		id := g.id
		g.id, n.fence = 0, false // nothing else is to be sent
		defer func() { g.id = id }()
		for want, f := range []func() error{
			func() error { return n.sendOp(patient(t), groups.Op{Kind: groups.Join, Name: "unknown"}, nil) },
			func() error { return g.TrySend(FIFO, nil) },
		} {
			if err := f(); err != nil {
				t.Fatal(err)
			}
			if n.fetch() || n.stats.loop.MessagesLost != uint64(want) {
				t.Errorf("%d messages lost, want %d", n.stats.loop.MessagesLost, want)
			}
		}
		g.parting.SetAll()
		if _, err := n.push(patient(t), false, pack(g.slot, FIFO, kindPlain), nil, nil); err != nil {
			t.Fatal(err)
		}
		if n.fetch() || n.stats.loop.MessagesLost != 1 {
			t.Errorf("%d messages lost: one was sent after the group had been left", n.stats.loop.MessagesLost)
		}
	})
}
