package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/groups"
)

// sequence is a handler that checks that it gets messages 0, 1, 2 ... of 8 bytes
// and more, after an optional wait.
type sequence struct {
	t    testing.TB
	wait func()
	next atomic.Int64
}

func (s *sequence) Deliver(m *Message) {
	if s.wait != nil {
		s.wait()
	}
	if n := s.next.Load(); binary.LittleEndian.Uint64(m.Payload) != uint64(n) {
		s.t.Errorf("message %d comes after %d of them", binary.LittleEndian.Uint64(m.Payload), n)
	}
	s.next.Add(1)
}

func (s *sequence) View(GroupView) {}

func numbered(n, size int) []byte {
	b := make([]byte, max(size, 8))
	binary.LittleEndian.PutUint64(b, uint64(n))
	return b
}

func TestTrySendUntilFull(t *testing.T) {
	nodes := openRing(t, 2, nil)
	b := newBlocker(t)
	seqs := [2]*sequence{{t: t, wait: b.wait}, {t: t}}
	g := joinAll(t, nodes, "full", func(i int) Handler { return seqs[i] })[0]
	sent := standStill(t, g, b)
	for ; sent < 1e6; sent++ {
		if err := g.TrySend(FIFO, numbered(sent, 1000)); err != nil {
			if !errors.Is(err, ErrWouldBlock) {
				t.Fatal(err)
			}
			break
		}
	}
	if sent == 1 || sent == 1e6 {
		t.Fatalf("%d messages were taken while the handler stood still", sent)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := g.Send(ctx, FIFO, numbered(sent, 1000)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send while full: %v, want the context's error", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Send returned %v after a deadline of 50 ms", took)
	}
	b.resume()
	if err := g.Send(patient(t), FIFO, numbered(sent, 8)); err != nil {
		t.Fatal(err)
	}
	for i, s := range seqs {
		eventually(t, fmt.Sprint("all delivered at ", i), func() bool { return s.next.Load() == int64(sent)+1 })
	}
}

// standStill sends message 0 and returns 1 once the blocker holds a handler up.
func standStill(t testing.TB, g *Group, b *blocker) int {
	t.Helper()
	if err := g.Send(patient(t), FIFO, numbered(0, 8)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a handler stands still", func() bool { return b.held.Load() > 0 })
	return 1
}

// TestTrySendLargeUntilFull: messages that do not fit the ring must not pile up
// in memory either.
func TestTrySendLargeUntilFull(t *testing.T) {
	nodes := openRing(t, 2, nil)
	b := newBlocker(t)
	seqs := [2]*sequence{{t: t, wait: b.wait}, {t: t}}
	g := joinAll(t, nodes, "full", func(i int) Handler { return seqs[i] })[0]
	payload := make([]byte, 2<<20)
	sent := standStill(t, g, b)
	for ; sent < 200; sent++ {
		binary.LittleEndian.PutUint64(payload, uint64(sent))
		if err := g.TrySend(FIFO, payload); err != nil {
			if !errors.Is(err, ErrWouldBlock) {
				t.Fatal(err)
			}
			break
		}
	}
	if sent == 1 || sent == 200 {
		t.Fatalf("%d messages of 2 MiB were taken while the handler stood still", sent)
	}
	b.resume()
	for i, s := range seqs {
		eventually(t, fmt.Sprint("all delivered at ", i), func() bool { return s.next.Load() == int64(sent) })
	}
}

// stuckRing is two nodes of which the second's handler stands still, so that
// only a part of a large message from the first goes out.
func stuckRing(t *testing.T) (nodes []*Node, groups []*Group, got *[2]digests, b *blocker) {
	nodes = openRing(t, 2, func(_ int, c *Config) { c.RecvBuffer, c.HoldLimit = 1<<20, 1<<20 })
	got, b = new([2]digests), newBlocker(t)
	groups = joinAll(t, nodes, "stuck", func(i int) Handler {
		return HandlerFunc(func(m *Message) {
			if i == 1 {
				b.wait()
			}
			got[i].Deliver(m)
		})
	})
	standStill(t, groups[0], b)
	return nodes, groups, got, b
}

// checkStuckRing lets the second node go on and checks what both have got after
// the message that made it stand still.
func checkStuckRing(t *testing.T, groups []*Group, got *[2]digests, b *blocker, want ...string) {
	t.Helper()
	b.resume()
	last := []byte("last")
	if err := groups[0].Send(patient(t), Total, last); err != nil {
		t.Fatal(err)
	}
	want = append([]string{digest(numbered(0, 8))}, append(want, digest(last))...)
	for i := range got {
		eventually(t, fmt.Sprint("all delivered at ", i), func() bool { return got[i].count.Load() >= int64(len(want)) })
		if !slices.Equal(got[i].list, want) {
			t.Errorf("member %d got %v, want %v", i, got[i].list, want)
		}
	}
}

// partSent waits until no more of a large message can go out, and checks that
// this was a part of it.
func partSent(t *testing.T, n *Node) {
	t.Helper()
	sent := steadily(t, "the part that goes out", func() int64 { return int64(n.Stats().BytesSent) })
	if sent < 100_000 || sent >= MaxMessage {
		t.Fatalf("%d bytes of the message have gone out, want a part of %d", sent, MaxMessage)
	}
}

// TestLargeMessageWithdrawn cancels a message of which a part has gone out.
func TestLargeMessageWithdrawn(t *testing.T) {
	nodes, groups, got, b := stuckRing(t)
	ctx, cancel := context.WithCancelCause(patient(t))
	why, result := errors.New("changed my mind"), make(chan error, 1)
	go func() { result <- groups[0].Send(ctx, Total, make([]byte, MaxMessage)) }()
	partSent(t, nodes[0])
	cancel(why)
	if err := <-result; !errors.Is(err, why) {
		t.Errorf("withdrawn message: %v, want the context's cause", err)
	}
	checkStuckRing(t, groups, got, b)
}

// stuckAlone is a group of one whose handler stands still.
func stuckAlone(t *testing.T) (*Group, *digests, *blocker) {
	t.Helper()
	got, b := &digests{}, newBlocker(t)
	g := joinAll(t, openRing(t, 1, nil), "stuck", func(int) Handler {
		return HandlerFunc(func(m *Message) { b.wait(); got.Deliver(m) })
	})[0]
	standStill(t, g, b)
	return g, got, b
}

// TestSendWithoutRoomTellsTheCause, whatever the size of the message, as all other waits do.
func TestSendWithoutRoomTellsTheCause(t *testing.T) {
	g, _, b := stuckAlone(t)
	defer b.resume()
	for _, size := range []int{4096, 0} {
		for g.TrySend(FIFO, make([]byte, size)) == nil {
		}
	}
	for _, size := range []int{0, 4096, 1 << 20} {
		ctx, cancel := context.WithCancelCause(patient(t))
		why, result := errors.New("changed my mind"), make(chan error, 1)
		go func() { result <- g.Send(ctx, FIFO, make([]byte, size)) }()
		time.Sleep(10 * time.Millisecond)
		cancel(why)
		if err := <-result; !errors.Is(err, why) {
			t.Errorf("%d bytes without room: %v, want the context's cause", size, err)
		}
	}
}

// TestLargeMessageWithdrawnInTheQueue cancels one that waits behind another.
func TestLargeMessageWithdrawnInTheQueue(t *testing.T) {
	nodes, groups, got, b := stuckRing(t)
	first := filled(MaxMessage, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := groups[0].Send(patient(t), FIFO, first); err != nil {
			t.Error(err)
		}
	})
	partSent(t, nodes[0])
	ctx, cancel := context.WithTimeout(patient(t), 50*time.Millisecond)
	defer cancel()
	second := make(chan error, 1)
	go func() { second <- groups[0].Send(ctx, FIFO, filled(1<<20, 2)) }()
	select {
	case err := <-second:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second message: %v, want the context's error", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Send does not return though its context has ended")
	}
	b.resume()
	wg.Wait()
	checkStuckRing(t, groups, got, b, digest(first))
}

// TestLargeMessageWithdrawnFromBusyLoop cancels one that the loop cannot get to,
// since this node's own handler stands still.
func TestLargeMessageWithdrawnFromBusyLoop(t *testing.T) {
	g, got, b := stuckAlone(t)
	defer b.resume()
	ctx, cancel := context.WithTimeout(patient(t), 50*time.Millisecond)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- g.Send(ctx, FIFO, make([]byte, 1<<20)) }()
	select {
	case err := <-result:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's error", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Send does not return though its context has ended")
	}
	b.resume()
	if err := g.Send(patient(t), FIFO, []byte("last")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last message", func() bool { return got.count.Load() == 2 })
	if got.list[1] != digest([]byte("last")) {
		t.Errorf("got %v", got.list)
	}
}

// TestSlowConsumer lets one member's handler stand still: the senders must come
// to a halt with bounded memory everywhere, and lose nothing.
func TestSlowConsumer(t *testing.T) {
	for name, wrap := range map[string]func(Handler) Handler{
		"inline": func(h Handler) Handler { return h },
		"queued": func(h Handler) Handler { return Queued(h, 0) },
	} {
		for _, size := range []int{100, 8000} {
			t.Run(fmt.Sprint(name, "/", size), func(t *testing.T) { testSlowConsumer(t, wrap, size, nil) })
		}
	}
	t.Run("queued/spinning", func(t *testing.T) {
		spin := func(i int, c *Config) { c.Spin = i == 2 }
		testSlowConsumer(t, func(h Handler) Handler { return Queued(h, 0) }, 1000, spin)
	})
}

func testSlowConsumer(t *testing.T, wrap func(Handler) Handler, size int, change func(int, *Config)) {
	const buffer, hold = 1 << 20, 1 << 20
	nodes := openRing(t, 3, func(i int, c *Config) {
		c.RecvBuffer, c.HoldLimit, c.SubmitRing = buffer, hold, 1<<16
		if change != nil {
			change(i, c)
		}
	})
	b := newBlocker(t)
	var got [3][3]atomic.Int64 // at, of
	groups := joinAll(t, nodes, "slow", func(i int) Handler {
		h := HandlerFunc(func(m *Message) {
			if i == 2 {
				b.wait()
			}
			of := int(m.Payload[8])
			if n := got[i][of].Load(); binary.LittleEndian.Uint64(m.Payload) != uint64(n) {
				t.Errorf("member %d: message %d of %d comes after %d", i, binary.LittleEndian.Uint64(m.Payload), of, n)
			}
			got[i][of].Add(1)
		})
		if i == 2 {
			return wrap(h)
		}
		return h
	})
	ctx := patient(t)
	var stop atomic.Bool
	var sent [3]atomic.Int64
	var wg sync.WaitGroup
	for i := range 2 { // the third member sends nothing: its program may be the one that stands still
		wg.Go(func() {
			payload := numbered(0, size)
			payload[8] = byte(i)
			for !stop.Load() {
				binary.LittleEndian.PutUint64(payload, uint64(sent[i].Load()))
				if err := groups[i].Send(ctx, []Level{FIFO, Causal}[i], payload); err != nil {
					t.Error(err)
					return
				}
				sent[i].Add(1)
			}
		})
	}
	taken := steadily(t, "senders", func() int64 { return sent[0].Load() + sent[1].Load() })
	if bytes := taken * int64(size); bytes < buffer/16 {
		t.Errorf("senders were held back after %d bytes already, with buffers of %d", bytes, buffer)
	}
	// Packets of both, at everyone, of which part is charged and part is copies of
	// what the sender keeps; the trains in hand; one slab each to pack in.
	const most = 2*(hold+2*buffer) + 24<<16
	for i, n := range nodes {
		if b := n.Stats().SlabBytes; b > most {
			t.Errorf("member %d has %d bytes of packets, want at most %d", i, b, most)
		}
	}
	stop.Store(true)
	b.resume()
	wg.Wait()
	for i := range got {
		for of := range 2 {
			eventually(t, fmt.Sprintf("all of %d delivered at %d", of, i), func() bool { return got[i][of].Load() == sent[of].Load() })
		}
	}
}

// TestWideMessagesInQueue holds the queue of large payloads to its limit.
func TestWideMessagesInQueue(t *testing.T) {
	nodes := openRing(t, 1, nil)
	b := newBlocker(t)
	var got atomic.Int64
	payload := filled(1<<20, 3)
	g := joinAll(t, nodes, "wide", func(int) Handler {
		return Queued(HandlerFunc(func(m *Message) {
			b.wait()
			if !bytes.Equal(m.Payload, payload) {
				t.Error("payload changed in the queue")
			}
			got.Add(1)
		}), 0)
	})[0]
	ctx := patient(t)
	const many = 80 // MiB: more than the queue and the packets take
	var sent atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for range many {
			if err := g.Send(ctx, FIFO, payload); err != nil {
				t.Error(err)
				return
			}
			sent.Add(1)
		}
	})
	if n := steadily(t, "sender", sent.Load); n == many {
		t.Errorf("%d MiB were taken while the handler stood still", n)
	}
	b.resume()
	wg.Wait()
	eventually(t, "all delivered", func() bool { return got.Load() == many })
}

// TestFullBacklogTakesTheEnginesOwn: what the engine itself has to say is not lost where
// handlers have sent as much as may wait.
func TestFullBacklogTakesTheEnginesOwn(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	g := joinAll(t, []*Node{n}, "g", func(int) Handler { return HandlerFunc(func(*Message) {}) })[0]
	locked(n, func() {
		nowhere := pack(g.slot+1, FIFO, kindPlain)
		if _, err := n.backlog.add(nowhere, make([]byte, maxBacklog), n.submits.End()); err != nil {
			t.Fatal(err)
		}
		if _, err := n.backlog.add(nowhere, []byte("x"), n.submits.End()); !errors.Is(err, ErrWouldBlock) {
			t.Errorf("a handler's message past the limit: %v, want ErrWouldBlock", err)
		}
		n.decline(g, &groups.Record{Mark: groups.Message, Kind: kindAsk, Payload: make([]byte, askHead)})
		n.operate(groups.Op{Kind: groups.Leave, Name: "g"})
		if waits := len(n.backlog.list); waits != 3 {
			t.Errorf("%d messages wait, want the handlers', a null reply and a leave", waits)
		}
	})
	eventually(t, "the group has been left", g.left)
}
