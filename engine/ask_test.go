package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAsk(t *testing.T) {
	for name, wrap := range map[string]func(Handler) Handler{
		"inline": func(h Handler) Handler { return h },
		"queued": func(h Handler) Handler { return Queued(h, 0) },
	} {
		t.Run(name, func(t *testing.T) { testAsk(t, wrap) })
	}
}

func testAsk(t *testing.T, wrap func(Handler) Handler) {
	nodes := openRing(t, 3, nil)
	var heard atomic.Int64
	groups := joinAll(t, nodes, "ask", func(i int) Handler {
		return wrap(HandlerFunc(func(m *Message) {
			heard.Add(1)
			if !m.Asked() {
				return
			}
			if err := m.Reply(fmt.Appendf(nil, "%s %d", m.Payload, nodes[i].Rank())); err != nil {
				t.Error(err)
			}
		}))
	})
	allJoined(t, groups)
	asked := 0
	for _, l := range allLevels {
		for _, c := range []struct {
			want Replies
			n    int
		}{{None, 0}, {One, 1}, {2, 2}, {Majority, 2}, {All, 3}} {
			from := asked % 3
			question := fmt.Sprintf("question %d", asked)
			asked++
			replies, err := groups[from].Ask(patient(t), l, []byte(question), c.want)
			if err != nil {
				t.Fatalf("%v, %d replies: %v", l, c.want, err)
			}
			if len(replies) != c.n {
				t.Errorf("%v: %d replies, want %d", l, len(replies), c.n)
			}
			var senders []int
			for _, r := range replies {
				if want := fmt.Sprintf("%s %d", question, r.Sender); string(r.Payload) != want {
					t.Errorf("%v: reply %q, want %q", l, r.Payload, want)
				}
				if slices.Contains(senders, r.Sender) {
					t.Errorf("%v: member %d is counted twice", l, r.Sender)
				}
				senders = append(senders, r.Sender)
			}
		}
	}
	eventually(t, "every question heard everywhere", func() bool { return heard.Load() == int64(3*asked) })
	noneOpen(t, groups)
}

// noneOpen fails the test if a question is left open.
func noneOpen(t *testing.T, groups []*Group) {
	t.Helper()
	for i, g := range groups {
		g.asks.mu.Lock()
		left := len(g.asks.open)
		g.asks.mu.Unlock()
		if left > 0 {
			t.Errorf("%d questions are left open at member %d", left, i)
		}
	}
}

// TestAskEarlyEnd: a context that ends first leaves the replies that came.
func TestAskEarlyEnd(t *testing.T) {
	nodes := openRing(t, 3, nil)
	groups := joinAll(t, nodes, "ask", func(i int) Handler {
		return HandlerFunc(func(m *Message) {
			if i == 2 {
				return // no answer from here
			}
			if err := m.Reply([]byte("here")); err != nil {
				t.Error(err)
			}
		})
	})
	allJoined(t, groups)
	ctx, cancel := context.WithTimeout(patient(t), 300*time.Millisecond)
	defer cancel()
	replies, err := groups[0].Ask(ctx, Total, nil, All)
	if len(replies) != 2 || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 of 3") {
		t.Errorf("%d replies and %v, want 2 and the context's error that tells so", len(replies), err)
	}
	// A late reply to that question must not be taken for one to the next.
	replies, err = groups[0].Ask(patient(t), Total, nil, Majority)
	if len(replies) != 2 || err != nil {
		t.Errorf("%d replies and %v, want 2", len(replies), err)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	nodes := openRing(t, 3, nil)
	groups := joinAll(t, nodes, "ask", func(int) Handler {
		return HandlerFunc(func(m *Message) {
			if err := m.Reply(m.Payload); err != nil {
				t.Error(err)
			}
		})
	})
	allJoined(t, groups)
	ctx := patient(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for k := range scaled(200) {
				question := fmt.Sprint(i, k)
				replies, err := groups[i%3].Ask(ctx, allLevels[i%6], []byte(question), All)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range replies {
					if string(r.Payload) != question {
						t.Errorf("asked %q, got %q", question, r.Payload)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestLargeQuestionAndReply(t *testing.T) {
	nodes := openRing(t, 2, nil)
	big := filled(2<<20, 9)
	groups := joinAll(t, nodes, "ask", func(int) Handler {
		return HandlerFunc(func(m *Message) {
			if err := m.Reply(m.Payload); err != nil {
				t.Error(err)
			}
		})
	})
	allJoined(t, groups)
	replies, err := groups[0].Ask(patient(t), Causal, big, All)
	if err != nil || len(replies) != 2 {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	for _, r := range replies {
		if !slices.Equal(r.Payload, big) {
			t.Errorf("%d bytes from %d differ from the question", len(r.Payload), r.Sender)
		}
	}
}

func TestAskRefuses(t *testing.T) {
	nodes := openRing(t, 1, nil)
	replied := make(chan error, 1)
	g := joinAll(t, nodes, "ask", func(int) Handler {
		return HandlerFunc(func(m *Message) { replied <- m.Reply(nil) })
	})[0]
	if _, err := g.Ask(patient(t), FIFO, nil, -3); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "-3") {
		t.Errorf("-3 replies: %v, want ErrConfig with the number", err)
	}
	if err := g.Send(patient(t), FIFO, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-replied; !errors.Is(err, ErrConfig) {
		t.Errorf("reply to no question: %v, want ErrConfig", err)
	}
}

// TestLaterRepliesAfterTheHandler: to who asked, though other messages have come since
// and another member has joined.
func TestLaterRepliesAfterTheHandler(t *testing.T) {
	nodes := openRing(t, 2, nil)
	later := make(chan func([]byte) error, 1)
	groups := joinAll(t, nodes[:1], "later", func(int) Handler {
		return HandlerFunc(func(m *Message) {
			if m.Asked() {
				later <- m.Later()
			} else if err := m.Later()(nil); !errors.Is(err, ErrConfig) {
				t.Errorf("a reply to a message that was not asked: %v", err)
			}
		})
	})
	answered := make(chan error, 1)
	go func() {
		replies, err := groups[0].Ask(patient(t), FIFO, []byte("?"), One)
		if err == nil && (len(replies) != 1 || string(replies[0].Payload) != "!") {
			err = fmt.Errorf("replies %+v", replies)
		}
		answered <- err
	}()
	reply := <-later
	if err := groups[0].Send(patient(t), Total, []byte("another")); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[1].Join(patient(t), "later", HandlerFunc(func(*Message) {})); err != nil {
		t.Fatal(err)
	}
	if err := reply([]byte("!")); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAsk is the time until so many members of three in this process have answered.
func BenchmarkAsk(b *testing.B) {
	for _, l := range []Level{FIFO, Total, Total.Safe()} {
		for _, want := range []Replies{One, Majority, All} {
			b.Run(fmt.Sprint(l, "/", int(want)), func(b *testing.B) {
				groups := joinAll(b, openRing(b, 3, nil), "ask", func(int) Handler {
					return HandlerFunc(func(m *Message) { _ = m.Reply(m.Payload) })
				})
				ctx, payload := context.Background(), make([]byte, 64)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := groups[0].Ask(ctx, l, payload, want); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
