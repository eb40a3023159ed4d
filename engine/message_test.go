package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// filled returns size bytes that depend on seed.
func filled(size int, seed byte) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// digests is a handler that notes size and hash of what it gets.
type digests struct {
	list  []string
	count atomic.Int64
}

func digest(b []byte) string { return fmt.Sprintf("%d:%x", len(b), xxhash.Sum64(b)) }

func (d *digests) Deliver(m *Message) {
	d.list = append(d.list, digest(m.Payload))
	d.count.Add(1)
}

func (d *digests) View(GroupView) {}

func TestMessageSizes(t *testing.T) {
	for name, wrap := range map[string]func(Handler) Handler{
		"inline": func(h Handler) Handler { return h },
		"queued": func(h Handler) Handler { return Queued(h, 256<<10) },
	} {
		t.Run(name, func(t *testing.T) { testSizes(t, wrap) })
	}
}

func testSizes(t *testing.T, wrap func(Handler) Handler) {
	nodes := openRing(t, 3, nil)
	got := make([]digests, 3)
	groups := joinAll(t, nodes, "sizes", func(i int) Handler { return wrap(&got[i]) })
	limit := nodes[0].submits.MaxRecord() // larger ones do not go through the ring
	segment := nodes[0].View().Segment()
	sizes := []int{
		MaxMessage, 0, 1, segment / 2, segment - 1, segment, segment + 1, limit - 1, limit, limit + 1, 0, 1 << 20, 7,
	}
	if !raced {
		sizes = append(sizes, MaxMessage-1, 2)
	}
	ctx := patient(t)
	var want []string
	for i, size := range sizes {
		payload := filled(size, byte(i))
		want = append(want, digest(payload))
		if err := groups[0].Send(ctx, allLevels[i%len(allLevels)], payload); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		clear(payload) // ours again
	}
	for i := range got {
		eventually(t, fmt.Sprint("all delivered at ", i), func() bool { return got[i].count.Load() == int64(len(want)) })
		for k := range want {
			if got[i].list[k] != want[k] {
				t.Errorf("member %d, message %d: %s, want %s", i, k, got[i].list[k], want[k])
			}
		}
	}
}

func TestTooLarge(t *testing.T) {
	nodes := openRing(t, 1, nil)
	g := joinAll(t, nodes, "sizes", func(int) Handler { return HandlerFunc(func(*Message) { t.Error("delivered") }) })[0]
	ctx, huge := patient(t), make([]byte, MaxMessage+1)
	_, asked := g.Ask(ctx, FIFO, huge[:MaxMessage], One)
	for what, err := range map[string]error{
		"Send": g.Send(ctx, FIFO, huge), "TrySend": g.TrySend(Total, huge), "Ask": asked,
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", what, err)
			continue
		}
		if what != "Ask" && (!strings.Contains(err.Error(), fmt.Sprint(MaxMessage+1)) || !strings.Contains(err.Error(), fmt.Sprint(MaxMessage))) {
			t.Errorf("%s: %q names not the size and the limit", what, err)
		}
	}
}

func TestNoSuchLevel(t *testing.T) {
	nodes := openRing(t, 1, nil)
	g := joinAll(t, nodes, "levels", func(int) Handler { return HandlerFunc(func(*Message) {}) })[0]
	for _, l := range []Level{3, 8, 16, 255} {
		if err := g.Send(patient(t), l, nil); !errors.Is(err, ErrLevel) || !strings.Contains(err.Error(), l.String()) {
			t.Errorf("level %d: %v, want ErrLevel with its number", uint8(l), err)
		}
	}
}

// TestRetain keeps payloads of each kind and looks at them after much traffic
// that would have overwritten memory that is not theirs alone.
func TestRetain(t *testing.T) {
	for name, wrap := range map[string]func(Handler) Handler{
		"inline": func(h Handler) Handler { return h },
		"queued": func(h Handler) Handler { return Queued(h, 256<<10) },
	} {
		t.Run(name, func(t *testing.T) { testRetain(t, wrap) })
	}
}

func testRetain(t *testing.T, wrap func(Handler) Handler) {
	// A packet here is larger than retainWhole, so that a message may lie whole in
	// one and be kept with it.
	nodes := openRing(t, 3, func(_ int, c *Config) { c.Segment = 40_000 })
	var kept [3][][]byte
	var count [3]atomic.Int64
	groups := joinAll(t, nodes, "keep", func(i int) Handler {
		return wrap(HandlerFunc(func(m *Message) {
			if m.Level == Total {
				kept[i] = append(kept[i], m.Retain())
			}
			count[i].Add(1)
		}))
	})
	ctx := patient(t)
	sizes := []int{0, 10, retainWhole - 1, retainWhole, 30_000, 200_000, 3 << 20, 64}
	total := 0
	send := func(l Level, payload []byte) {
		if err := groups[total%3].Send(ctx, l, payload); err != nil {
			t.Fatal(err)
		}
		total++
	}
	for i, size := range sizes {
		send(Total, filled(size, byte(i)))
		for i := range count {
			eventually(t, "delivery", func() bool { return count[i].Load() == int64(total) })
		}
	}
	noise := bytes.Repeat([]byte{0xee}, 30_000)
	for range 2000 {
		send(FIFO, noise)
	}
	for i := range kept {
		eventually(t, "the traffic after", func() bool { return count[i].Load() == int64(total) })
		for k, size := range sizes {
			if !bytes.Equal(kept[i][k], filled(size, byte(k))) {
				t.Errorf("member %d: the %d bytes kept have changed", i, size)
			}
		}
	}
}

// TestRetainedMemoryIsNotShared writes nothing, but shows that appending to a
// kept payload cannot reach its neighbours.
func TestRetainedMemoryIsNotShared(t *testing.T) {
	nodes := openRing(t, 1, func(_ int, c *Config) { c.Segment = 40_000 })
	slack := make(chan int, 1)
	g := joinAll(t, nodes, "keep", func(int) Handler {
		return HandlerFunc(func(m *Message) { b := m.Retain(); slack <- cap(b) - len(b) })
	})[0]
	if err := g.Send(patient(t), FIFO, filled(retainWhole, 1)); err != nil {
		t.Fatal(err)
	}
	if n := <-slack; n != 0 {
		t.Errorf("%d bytes after the kept payload may be appended to", n)
	}
}
