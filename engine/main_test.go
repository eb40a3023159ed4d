package engine

import (
	"context"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails the package if a goroutine outlives its node.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should happen soon.
const patience = 20 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// steadily waits until value has not changed for a while, and returns it.
func steadily(t testing.TB, what string, value func() int64) int64 {
	t.Helper()
	const still = 150 * time.Millisecond
	last, since := value(), time.Now()
	for end := time.Now().Add(patience); time.Since(since) < still; time.Sleep(time.Millisecond) {
		if v := value(); v != last {
			last, since = v, time.Now()
		}
		if time.Now().After(end) {
			t.Fatalf("still moving after %v: %s, now %d", patience, what, last)
		}
	}
	return last
}

// allJoined waits until every node knows that the group has all of them.
func allJoined(t testing.TB, groups []*Group) {
	t.Helper()
	eventually(t, "all see all in the group", func() bool {
		for _, g := range groups {
			if g.Size() != len(groups) {
				return false
			}
		}
		return true
	})
}

// blocker is a handler that stands still until resume. A failed test must not hang in a
// node's Close: if the blocker is made before nodes are opened, they are closed before it
// resumes by itself, and the test has to defer resume.
type blocker struct {
	gate chan struct{}
	held atomic.Int64 // handlers that stand still, or did
}

func newBlocker(t testing.TB) *blocker {
	b := &blocker{gate: make(chan struct{})}
	t.Cleanup(b.resume)
	return b
}

func (b *blocker) wait() {
	b.held.Add(1)
	<-b.gate
}

func (b *blocker) resume() {
	select {
	case <-b.gate:
	default:
		close(b.gate)
	}
}

// openFiles counts this process's file descriptors; -1 where there is no telling.
func openFiles() int {
	if runtime.GOOS != "linux" {
		return -1
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list)
}
