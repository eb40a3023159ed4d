package engine

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestSendsInsideHandler lets a handler send far more than the ring holds: none
// may wait, and all must keep their order, across levels and sizes.
func TestSendsInsideHandler(t *testing.T) {
	for _, c := range []struct {
		name             string
		ring, many, size int
	}{
		{"small", 0, 30_000, 100},
		{"ring of odd size", 33 << 10, 40, 8 << 10}, // the ring is twice as large then
		{"larger than the ring takes", 1 << 15, 40, 100_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := openRing(t, 3, func(_ int, cfg *Config) {
				if c.ring != 0 {
					cfg.SubmitRing = c.ring
				}
			})
			var seqs [3]sequence
			groups := joinAll(t, nodes, "inside", func(i int) Handler {
				seqs[i].t = t
				return HandlerFunc(func(m *Message) {
					if m.Level == Total.SafeAll() { // the start
						if i == 1 {
							sendMany(t, m.Group(), c.many, c.size)
						}
						return
					}
					seqs[i].Deliver(m)
				})
			})
			if err := groups[0].Send(patient(t), Total.SafeAll(), nil); err != nil {
				t.Fatal(err)
			}
			for i := range seqs {
				eventually(t, fmt.Sprint("all delivered at ", i), func() bool { return seqs[i].next.Load() == int64(c.many) })
			}
			// The way for others is free again.
			if err := groups[1].Send(patient(t), Total, numbered(c.many, 8)); err != nil {
				t.Fatal(err)
			}
			for i := range seqs {
				eventually(t, "one more", func() bool { return seqs[i].next.Load() == int64(c.many)+1 })
			}
		})
	}
}

func sendMany(t *testing.T, g *Group, many, size int) {
	for k := range many {
		bytes := size
		if k%7 == 3 {
			bytes = 8
		}
		if err := g.Send(t.Context(), allLevels[k%6], numbered(k, bytes)); err != nil {
			t.Errorf("message %d: %v", k, err)
			return
		}
	}
}

// TestHandlersBacklogIsBounded: what cannot be sent inside a handler is refused
// in the end, not kept without limit.
func TestHandlersBacklogIsBounded(t *testing.T) {
	nodes := openRing(t, 1, nil)
	result := make(chan int, 1)
	var got atomic.Int64
	g := joinAll(t, nodes, "bounded", func(int) Handler {
		return HandlerFunc(func(m *Message) {
			if len(m.Payload) > 0 {
				got.Add(1)
				return
			}
			payload := make([]byte, 4<<20)
			for k := range 100 {
				if err := m.Group().Send(t.Context(), FIFO, payload); err != nil {
					if !errors.Is(err, ErrWouldBlock) {
						t.Error(err)
					}
					result <- k
					return
				}
			}
			result <- 100
		})
	})[0]
	if err := g.Send(patient(t), FIFO, nil); err != nil {
		t.Fatal(err)
	}
	taken := <-result
	if bytes := taken * (4 << 20); bytes == 0 || bytes > maxBacklog {
		t.Errorf("%d bytes were taken in one handler, want at most %d", bytes, maxBacklog)
	}
	eventually(t, "what was taken", func() bool { return got.Load() == int64(taken) })
}

// TestRefusedInsideHandler: what waits for the loop would wait for itself.
func TestRefusedInsideHandler(t *testing.T) {
	nodes := openRing(t, 2, nil)
	done := make(chan map[string]error, 1)
	groups := joinAll(t, nodes, "refused", func(i int) Handler {
		return HandlerFunc(func(m *Message) {
			if i != 0 {
				return
			}
			_, join := nodes[0].Join(t.Context(), "another", HandlerFunc(func(*Message) {}))
			_, ask := m.Group().Ask(t.Context(), FIFO, nil, All)
			there, short := nodes[0].AwaitMembers(t.Context(), 2), patient(t)
			if there != nil {
				t.Errorf("AwaitMembers inside a handler: %v, want nil: they are there", there)
			}
			done <- map[string]error{"Join": join, "Ask": ask, "Leave": m.Group().Leave(t.Context()), "AwaitMembers": nodes[0].AwaitMembers(short, 3)}
		})
	})
	if err := groups[1].Send(patient(t), FIFO, nil); err != nil {
		t.Fatal(err)
	}
	for what, err := range <-done {
		if !errors.Is(err, ErrWouldBlock) || !strings.Contains(err.Error(), what+" inside a handler waits for the handler") {
			t.Errorf("%s inside a handler: %v, want ErrWouldBlock, and what to do", what, err)
		}
	}
}

// TestQueuedHandlerMayWait: on a goroutine of its own a handler may do what waits.
func TestQueuedHandlerMayWait(t *testing.T) {
	nodes := openRing(t, 2, nil)
	done := make(chan error, 1)
	groups := joinAll(t, nodes, "queued", func(i int) Handler {
		return Queued(HandlerFunc(func(m *Message) {
			if m.Asked() {
				if err := m.Reply(nil); err != nil {
					t.Error(err)
				}
				return
			}
			if i != 0 {
				return
			}
			_, err := nodes[0].Join(patient(t), "another", HandlerFunc(func(*Message) {}))
			if err == nil {
				err = m.Group().Leave(patient(t))
			}
			done <- err
		}), 0)
	})
	if err := groups[1].Send(patient(t), FIFO, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := groups[0].Send(patient(t), FIFO, nil); !errors.Is(err, ErrNotMember) {
		t.Errorf("Send after Leave: %v, want ErrNotMember", err)
	}
}

func TestCloseInsideHandler(t *testing.T) {
	for name, wrap := range map[string]func(Handler) Handler{
		"inline": func(h Handler) Handler { return h },
		"queued": func(h Handler) Handler { return Queued(h, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			nodes := openRing(t, 2, nil)
			closed := make(chan error, 1)
			groups := joinAll(t, nodes, "closing", func(i int) Handler {
				return wrap(HandlerFunc(func(*Message) {
					if i == 0 {
						closed <- nodes[0].Close()
					}
				}))
			})
			if err := groups[1].Send(patient(t), FIFO, nil); err != nil {
				t.Fatal(err)
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
			select {
			case <-nodes[0].stopped:
			case <-time.After(5 * time.Second):
				t.Fatal("the node has not ended")
			}
			if err := groups[0].Send(patient(t), FIFO, nil); !errors.Is(err, ErrClosed) {
				t.Errorf("Send after Close: %v, want ErrClosed", err)
			}
		})
	}
}
