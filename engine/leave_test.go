package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// ordinals is a handler of messages that begin with numbers from 1 on.
type ordinals struct{ last, count atomic.Uint64 }

func (h *ordinals) Deliver(m *Message) {
	h.last.Store(binary.LittleEndian.Uint64(m.Payload))
	h.count.Add(1)
}

func (*ordinals) View(GroupView) {}

// TestSendsBesideLeave: each message for which Send returned nil is delivered at the one
// that stays, and no other, whenever Leave was called meanwhile.
func TestSendsBesideLeave(t *testing.T) {
	for _, size := range []int{64, 1 << 20} {
		for _, l := range []Level{FIFO, Causal, Total, Total.Safe()} {
			t.Run(fmt.Sprintf("%v, %d bytes", l, size), func(t *testing.T) { sendBesideLeave(t, l, size) })
		}
	}
}

func sendBesideLeave(t *testing.T, l Level, size int) {
	nodes := byAge(openRing(t, 2, nil))
	stays := &ordinals{}
	if _, err := nodes[0].Join(patient(t), "g", stays); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		stays.last.Store(0)
		stays.count.Store(0)
		own := &ordinals{}
		g, err := nodes[1].Join(patient(t), "g", own)
		if err != nil {
			t.Fatal(err)
		}
		sent, done := uint64(0), make(chan error)
		go func() {
			b := make([]byte, size)
			for {
				binary.LittleEndian.PutUint64(b, sent+1)
				if err := g.Send(patient(t), l, b); err != nil {
					done <- err
					return
				}
				sent++
			}
		}()
		time.Sleep(3 * time.Millisecond)
		if err := g.Leave(patient(t)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, ErrNotMember) || errors.Is(err, ErrExpelled) {
			t.Errorf("Send: %v, want ErrNotMember", err)
		}
		if n := own.count.Load(); n != sent {
			t.Errorf("%d were sent, %d delivered at the sender when Leave returned", sent, n)
		}
		eventually(t, "all are delivered where they can be", func() bool { return stays.count.Load() >= sent })
		if n, last := stays.count.Load(), stays.last.Load(); n != sent || last != sent {
			t.Errorf("%d were sent, %d delivered at the one that stays, the last %d", sent, n, last)
		}
	}
}

// TestLeaveGoesOn: a Leave whose context has ended is under way all the same. Nothing is
// taken for the group any more, and who calls Leave again waits for it.
func TestLeaveGoesOn(t *testing.T) {
	nodes := openRing(t, 1, nil)
	ended, cancel := context.WithCancel(patient(t))
	cancel()
	for range 50 {
		h := &ordinals{}
		g, err := nodes[0].Join(patient(t), "g", h)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Leave(ended); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := g.Send(patient(t), FIFO, make([]byte, 8)); !errors.Is(err, ErrNotMember) {
			t.Errorf("Send after Leave: %v, want ErrNotMember", err)
		}
		if err := g.Leave(patient(t)); err != nil && !errors.Is(err, ErrNotMember) {
			t.Errorf("Leave again: %v", err)
		}
		if !g.left() || h.count.Load() > 0 {
			t.Errorf("left: %v, %d messages delivered", g.left(), h.count.Load())
		}
	}
}

// TestHandlersSendBesideLeave: the same of a handler on the loop, which cannot wait.
func TestHandlersSendBesideLeave(t *testing.T) {
	nodes := byAge(openRing(t, 2, func(_ int, c *Config) { c.SubmitRing = 1 << 14 }))
	stays := &ordinals{}
	if _, err := nodes[0].Join(patient(t), "g", stays); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		stays.count.Store(0)
		var g *Group
		var sent uint64
		var end atomic.Pointer[error]
		ready := make(chan struct{})
		g, err := nodes[1].Join(patient(t), "g", HandlerFunc(func(m *Message) {
			<-ready
			for range 2 { // each makes two, until Send fails; some wait in the backlog
				b := binary.LittleEndian.AppendUint64(nil, sent+1)
				if err := g.Send(patient(t), FIFO, append(b, make([]byte, 100)...)); err != nil {
					end.Store(&err)
					return
				}
				sent++
			}
		}))
		close(ready)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Send(patient(t), FIFO, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if err := g.Leave(patient(t)); err != nil {
			t.Fatal(err)
		}
		if err := end.Load(); err != nil && !errors.Is(*err, ErrNotMember) && !errors.Is(*err, ErrWouldBlock) {
			t.Errorf("Send inside a handler: %v, want ErrNotMember", *err)
		}
		eventually(t, "all are delivered at the one that stays", func() bool { return stays.count.Load() >= sent+1 })
		time.Sleep(5 * time.Millisecond)
		if n := stays.count.Load(); n != sent+1 {
			t.Errorf("%d were sent, %d delivered at the one that stays", sent+1, n)
		}
	}
}

// TestLeaveTwiceWithoutRoom: a second Leave waits while the first one waits for room, and
// leaves the group if that gives up.
func TestLeaveTwiceWithoutRoom(t *testing.T) {
	nodes := openRing(t, 1, func(_ int, c *Config) { c.SubmitRing = 1 << 14 })
	b := newBlocker(t)
	defer b.resume()
	g, err := nodes[0].Join(patient(t), "g", HandlerFunc(func(*Message) { b.wait() }))
	if err != nil {
		t.Fatal(err)
	}
	standStill(t, g, b)
	for err == nil {
		err = g.TrySend(FIFO, nil)
	}
	first, giveUp := context.WithCancel(patient(t))
	defer giveUp()
	ends := make(chan error, 2)
	go func() { ends <- g.Leave(first) }()
	eventually(t, "the first waits", func() bool { return g.leaving.Load() })
	impatient, cancel := context.WithTimeout(patient(t), 20*time.Millisecond)
	defer cancel()
	if err := g.Leave(impatient); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Leave beside one that waits for room: %v, want its context's error", err)
	}
	go func() { ends <- g.Leave(patient(t)) }()
	giveUp()
	if err := <-ends; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v, want its context's error", err)
	}
	b.resume()
	if err := <-ends; err != nil {
		t.Errorf("the second: %v", err)
	}
}
