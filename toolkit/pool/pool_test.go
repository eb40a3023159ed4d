package pool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

func number(k uint64) []byte { return binary.LittleEndian.AppendUint64(nil, k) }

// dawdle takes some time, at random.
func dawdle() {
	switch k := rand.IntN(100); {
	case k < 5:
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	case k < 50:
		runtime.Gosched()
	}
}

// TestEnterInOrder: on many workers, whoever forgets, the region is entered in delivery
// order, by one at a time.
func TestEnterInOrder(t *testing.T) {
	const many = 20_000
	var order []uint64 // guarded by the region
	var done, at, most atomic.Int64
	_, g := join(t, Config{Workers: 8, Queue: 64}, HandlerFunc(func(m *Turn) {
		most.Store(max(most.Load(), at.Add(1)))
		defer done.Add(1)
		defer at.Add(-1)
		dawdle()
		k := binary.LittleEndian.Uint64(m.Payload)
		if k != m.Num-1 {
			t.Errorf("message %d is the %dth", k, m.Num)
		}
		if k%7 == 0 {
			return
		}
		m.Enter(func() { order = append(order, k) })
		if k%5 == 0 {
			dawdle()
		}
	}))
	for k := range uint64(many) {
		send(t, g, number(k))
	}
	testring.Eventually(t, "all", func() bool { return done.Load() == many })
	if len(order) != many-(many+6)/7 || !slices.IsSorted(order) {
		t.Errorf("%d entered, sorted: %v", len(order), slices.IsSorted(order))
	}
	if most.Load() < 2 {
		t.Error("no two messages were processed at a time")
	}
}

// TestKeysInOrder: messages of one key one after the other, those of others meanwhile, and
// all in one order in the region.
func TestKeysInOrder(t *testing.T) {
	const many, keys = 10_000, 5
	var last [keys]uint64 // guarded by the keys
	var order []uint64
	var done, at, most atomic.Int64
	key := func(m *engine.Message) uint64 { return binary.LittleEndian.Uint64(m.Payload) % keys }
	_, g := join(t, Config{Workers: 4, Key: key}, HandlerFunc(func(m *Turn) {
		most.Store(max(most.Load(), at.Add(1)))
		defer done.Add(1)
		defer at.Add(-1)
		k := binary.LittleEndian.Uint64(m.Payload)
		if last[k%keys] > k {
			t.Errorf("%d after %d", k, last[k%keys])
		}
		dawdle()
		last[k%keys] = k
		m.Enter(func() { order = append(order, k) })
	}))
	for k := range uint64(many) {
		send(t, g, number(k))
	}
	testring.Eventually(t, "all", func() bool { return done.Load() == many })
	if len(order) != many || !slices.IsSorted(order) || most.Load() < 2 {
		t.Errorf("%d entered, sorted: %v; %d at a time", len(order), slices.IsSorted(order), most.Load())
	}
}

// TestPanicsPass: a function that panics, inside the region or before, gives its turn up;
// and one that ends its goroutine does not take the worker with it.
func TestPanicsPass(t *testing.T) {
	var order []uint64
	var p *Pool
	p, g := join(t, Config{Workers: 2}, HandlerFunc(func(m *Turn) {
		defer func() { _ = recover() }()
		switch m.Num % 4 {
		case 0:
			panic("before")
		case 1:
			runtime.Goexit()
		case 2:
			m.Enter(func() { panic("inside") })
		}
		m.Enter(func() { order = append(order, m.Num) })
	}))
	for range 12 {
		send(t, g, nil)
	}
	testring.Eventually(t, "all", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.sched.base == 13 && p.workers == 0 })
	if !slices.Equal(order, []uint64{3, 7, 11}) {
		t.Errorf("%v", order)
	}
}

func TestEnterTwicePanics(t *testing.T) {
	said := make(chan any, 1)
	_, g := join(t, Config{}, HandlerFunc(func(m *Turn) {
		defer func() { said <- recover() }()
		m.Enter(func() {})
		m.Enter(func() {})
	}))
	send(t, g, nil)
	if s := <-said; s != "pool: Enter for the second time in turn 1" {
		t.Errorf("%v", s)
	}
}

// ordered notes in which order messages, views and snapshots come, and checks that views
// and snapshots come alone.
type ordered struct {
	t     *testing.T
	at    atomic.Int64
	mu    sync.Mutex
	lines []string
	count uint64
}

func (o *ordered) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, fmt.Sprintf(format, args...))
}

func (o *ordered) Deliver(m *Turn) {
	o.at.Add(1)
	defer o.at.Add(-1)
	dawdle()
	m.Enter(func() {
		o.mu.Lock()
		o.count++
		o.mu.Unlock()
	})
}

func (o *ordered) View(v engine.GroupView) {
	o.alone("a view")
	o.note("view of %d after %d", len(v.Members), o.count)
}

func (o *ordered) Snapshot() (io.ReadCloser, error) {
	o.alone("a snapshot")
	return io.NopCloser(bytes.NewReader(number(o.count))), nil
}

func (o *ordered) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil {
		o.count = binary.LittleEndian.Uint64(b)
	}
	return err
}

func (o *ordered) alone(what string) {
	if n := o.at.Load(); n > 0 {
		o.t.Errorf("%s comes while %d messages are in work", what, n)
	}
}

// TestViewsAndState: views have their place among the messages, and one who joins has
// the state of its first view.
func TestViewsAndState(t *testing.T) {
	cluster := testring.Cluster(t)
	var seen [2]*ordered
	var groups [2]*engine.Group
	start := func(i int) {
		seen[i] = &ordered{t: t}
		p, err := New(Config{Workers: 4}, seen[i])
		if err != nil {
			t.Fatal(err)
		}
		if groups[i], err = testring.Add(t, cluster, "node").Join(testring.Patient(t), "g", p.Handler()); err != nil {
			t.Fatal(err)
		}
	}
	start(0)
	ctx, stop := context.WithCancel(t.Context())
	var sent uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ctx.Err() == nil; sent++ {
			send(t, groups[0], nil)
			time.Sleep(20 * time.Microsecond)
		}
	})
	start(1)
	time.Sleep(10 * time.Millisecond)
	stop()
	wg.Wait()
	for _, o := range seen {
		testring.Eventually(t, "all", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.count == sent })
	}
	if a, b := seen[0].lines[1], seen[1].lines[0]; a != b {
		t.Errorf("one has the %s, the other the %s", a, b)
	}
}

// TestFullPoolWaits: one that is full makes the sender wait, in messages and in bytes.
func TestFullPoolWaits(t *testing.T) {
	for _, c := range []Config{{Workers: 2, Queue: 64}, {Workers: 2, Bytes: 1 << 20}} {
		gate := make(chan struct{})
		open := sync.OnceFunc(func() { close(gate) })
		t.Cleanup(open) // a failed test must not hang in Close
		var done atomic.Int64
		p, g := join(t, c, HandlerFunc(func(m *Turn) { <-gate; done.Add(1) }))
		payload, sent := make([]byte, 32<<10), int64(0)
		for ; ; sent++ {
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			err := g.Send(ctx, engine.Total, payload)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil || sent > 20_000 {
				t.Fatalf("after %d messages: %v", sent, err)
			}
		}
		p.mu.Lock()
		if p.sched.used() > len(p.turns) || p.bytes > p.cfg.Bytes {
			t.Errorf("%d messages and %d bytes in the pool", p.sched.used(), p.bytes)
		}
		p.mu.Unlock()
		open()
		testring.Eventually(t, "all", func() bool { return done.Load() == sent })
		p.Wait()
	}
}

// TestRetain: what is retained is neither lost nor written to, and what is not is reused.
func TestRetain(t *testing.T) {
	const many = 2000
	kept := make([][]byte, many)
	p, g := join(t, Config{Workers: 4}, HandlerFunc(func(m *Turn) {
		k := binary.LittleEndian.Uint64(m.Payload)
		if k%2 == 0 {
			kept[k] = m.Retain()
		}
	}))
	for k := range uint64(many) {
		send(t, g, append(number(k), make([]byte, k)...))
	}
	testring.Eventually(t, "all", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.sched.base == many+1 })
	p.Wait()
	for k := uint64(0); k < many; k += 2 {
		if !bytes.Equal(kept[k], append(number(k), make([]byte, k)...)) {
			t.Fatalf("payload %d has become %.20x", k, kept[k])
		}
	}
}

func TestReply(t *testing.T) {
	_, g := join(t, Config{}, HandlerFunc(func(m *Turn) {
		if !m.Asked() {
			t.Error("nobody asks")
		}
		if err := m.Reply(append(m.Payload, '!')); err != nil {
			t.Error(err)
		}
	}))
	replies, err := g.Ask(testring.Patient(t), engine.Total, []byte("well"), engine.One)
	if err != nil || string(replies[0].Payload) != "well!" {
		t.Errorf("%v, %v", replies, err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{{Workers: -1}, {Queue: 63}, {Queue: maxQueue + 1}, {Bytes: -1}} {
		if _, err := New(c, HandlerFunc(func(*Turn) {})); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := New(Config{}, nil); !errors.Is(err, engine.ErrConfig) {
		t.Error(err)
	}
}

// TestNoAllocationsPerMessage counts those of the whole process.
func TestNoAllocationsPerMessage(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	var done atomic.Int64
	key := func(m *engine.Message) uint64 { return uint64(m.Payload[0]) }
	_, g := join(t, Config{Workers: 4, Key: key}, HandlerFunc(func(m *Turn) { m.Enter(func() { done.Add(1) }) }))
	payload, total := make([]byte, 64), int64(0)
	run := func(n int) {
		for k := range n {
			payload[0] = byte(k)
			if err := g.Send(context.Background(), engine.FIFO, payload); err != nil {
				t.Fatal(err)
			}
		}
		total += int64(n)
		testring.Eventually(t, "all", func() bool { return done.Load() == total })
	}
	const many = 100_000
	run(many / 2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(many)
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / many; per >= 0.01 {
		t.Errorf("%.3f allocations per message, want less than 0.01", per)
	}
}
