package lock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

var fenced = engine.Total.Safe()

func join(t testing.TB, nodes []*engine.Node) (list []*Locks) {
	t.Helper()
	for _, n := range nodes {
		l, err := Join(testring.Patient(t), n, "locks")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

func mustLock(t testing.TB, m *Mutex) *Grant {
	t.Helper()
	g, err := m.Lock(testring.Patient(t))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestOneAtATime: many owners at each member, all of them served, tokens growing.
func TestOneAtATime(t *testing.T) {
	list := join(t, testring.Open(t, 3, time.Minute))
	var inside, last atomic.Uint64
	var wg sync.WaitGroup
	for k := range 12 {
		wg.Go(func() {
			m := list[k%3].Mutex("one", fenced)
			for range 20 {
				g, err := m.Lock(testring.Patient(t))
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				if was := last.Swap(g.Token); was >= g.Token {
					t.Errorf("token %d after %d", g.Token, was)
				}
				inside.Add(^uint64(0))
				if err := m.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSemaphore(t *testing.T) {
	list := join(t, testring.Open(t, 2, time.Minute))
	a, b, c := list[0].Semaphore("s", 3, fenced), list[1].Semaphore("s", 3, fenced), list[1].Semaphore("s", 3, fenced)
	ctx := testring.Patient(t)
	if _, err := a.Acquire(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := b.TryAcquire(ctx, 2); !errors.Is(err, ErrTaken) {
		t.Errorf("4 of 3: %v", err)
	}
	if _, err := b.TryAcquire(ctx, 1); err != nil {
		t.Errorf("3 of 3: %v", err)
	}
	// A request for all of it is not overtaken by one that would fit before it.
	if err := b.Release(); err != nil {
		t.Fatal(err)
	}
	testring.Eventually(t, "one request", func() bool { return waiting(list[1], "s") == 1 })
	all := make(chan error)
	go func() { _, err := b.Acquire(ctx, 3); all <- err }()
	testring.Eventually(t, "two requests", func() bool { return waiting(list[1], "s") == 2 })
	if _, err := c.TryAcquire(ctx, 1); !errors.Is(err, ErrTaken) {
		t.Errorf("overtaking: %v", err)
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-all; err != nil {
		t.Fatal(err)
	}
	if _, err := list[0].Semaphore("s", 4, fenced).Acquire(ctx, 1); !errors.Is(err, ErrCapacity) || !strings.Contains(err.Error(), `"s" has 3, want 4`) {
		t.Errorf("another capacity: %v", err)
	}
}

// waiting counts the requests that a member knows.
func waiting(l *Locks, name string) (n int) {
	l.host.Look(func(m *machine) { n = len(m.queues[name]) })
	return n
}

func TestErrors(t *testing.T) {
	list := join(t, testring.Open(t, 1, time.Minute))
	ctx := testring.Patient(t)
	m := list[0].Mutex("m", fenced)
	if err := m.Unlock(); !errors.Is(err, ErrNotHeld) {
		t.Errorf("Unlock of what is not locked: %v", err)
	}
	mustLock(t, m)
	if _, err := m.Lock(ctx); !errors.Is(err, ErrHeld) {
		t.Errorf("Lock again: %v", err)
	}
	for want, s := range map[string]*Semaphore{
		"4 of \"s\", want 1 to its capacity, 3": list[0].Semaphore("s", 3, fenced),
		"cbcast for \"s\"":                      list[0].Semaphore("s", 9, engine.Causal),
		"name of 0 bytes":                       list[0].Semaphore("", 9, fenced),
		"name of 1025 bytes":                    list[0].Semaphore(strings.Repeat("x", MaxName+1), 9, fenced),
	} {
		if _, err := s.Acquire(ctx, 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := list[0].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Unlock(); !errors.Is(err, ErrLost) {
		t.Errorf("Unlock after Leave: %v", err)
	}
	if _, err := m.Lock(ctx); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("Lock after Leave: %v", err)
	}
}

// TestTakenBack: who stops waiting is not waited for, and what crosses is released.
func TestTakenBack(t *testing.T) {
	list := join(t, testring.Open(t, 3, time.Minute))
	first, other := list[0].Mutex("m", fenced), list[1].Mutex("m", fenced)
	for k := range 50 {
		g := mustLock(t, first)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(k)*20*time.Microsecond)
		if k%2 == 0 {
			go func() { _ = first.Unlock() }() // about when the other one gives up
		}
		h, err := other.Lock(ctx)
		cancel()
		switch {
		case err == nil && h.Token <= g.Token:
			t.Fatalf("token %d after %d", h.Token, g.Token)
		case err == nil:
			err = other.Unlock()
			if err != nil {
				t.Fatal(err)
			}
		case !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		}
		if k%2 != 0 {
			if err := first.Unlock(); err != nil {
				t.Fatal(err)
			}
		}
		testring.Eventually(t, "nobody has or wants the lock", func() bool {
			return waiting(list[0], "m")+waiting(list[1], "m")+waiting(list[2], "m") == 0
		})
	}
}

// TestHolderStandsStill: the next one gets the lock with a greater token, the holder is
// told when it runs again, and can have the lock anew.
func TestHolderStandsStill(t *testing.T) {
	nodes := testring.Open(t, 3, 300*time.Millisecond)
	list := join(t, nodes)
	m := list[0].Mutex("m", fenced)
	g := mustLock(t, m)
	resume := testring.Stall(t, nodes[0])
	other := list[2].Mutex("m", fenced)
	h := mustLock(t, other)
	if h.Token <= g.Token {
		t.Errorf("token %d after %d", h.Token, g.Token)
	}
	resume()
	testring.Closed(t, "the holder's loss", g.Lost())
	if err := m.Unlock(); !errors.Is(err, ErrLost) {
		t.Errorf("Unlock of what is lost: %v", err)
	}
	testring.Eventually(t, "the expelled one is back", func() bool { return list[0].host.Group().Size() == 3 })
	back := make(chan error)
	go func() { _, err := m.Lock(testring.Patient(t)); back <- err }()
	testring.Eventually(t, "a request of the one that is back", func() bool { return waiting(list[2], "m") == 2 })
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	mustLock(t, other)
}

// TestBlockedHolder: without a quorum it has lost its lock, and nobody has it for ever.
func TestBlockedHolder(t *testing.T) {
	nodes := testring.Open(t, 3, 300*time.Millisecond)
	list := join(t, nodes)
	m := list[0].Mutex("m", fenced)
	g := mustLock(t, m)
	resume := testring.Stall(t, nodes[1:]...)
	testring.Closed(t, "the loss without a quorum", g.Lost())
	resume()
	if err := m.Unlock(); !errors.Is(err, ErrLost) {
		t.Errorf("Unlock of what is lost: %v", err)
	}
	for i, l := range list {
		testring.Eventually(t, fmt.Sprint("the lock at ", i), func() bool {
			m := l.Mutex("m", fenced)
			_, err := m.Lock(testring.Patient(t))
			return err == nil && m.Unlock() == nil
		})
	}
}
