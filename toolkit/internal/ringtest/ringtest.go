// Package ringtest opens nodes in one process for the tests of tools, and has them fail.
package ringtest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"cohort/engine"
)

// Open opens n nodes on lo that form a ring of their own, the oldest first. They are
// closed when the test ends.
func Open(t testing.TB, n int, timeout time.Duration) []*engine.Node {
	t.Helper()
	nodes := make([]*engine.Node, n)
	errs := make([]error, n)
	cluster := fmt.Sprintf("%s-%x", t.Name(), rand.Uint64())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			nodes[i], errs[i] = engine.Open(Patient(t), engine.Config{
				Cluster: cluster, Name: fmt.Sprint("node", i), Interface: "lo", Expect: n, Timeout: timeout,
				Logger: slog.New(slog.DiscardHandler),
			})
			if errs[i] == nil {
				errs[i] = nodes[i].AwaitMembers(Patient(t), n)
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, n := range nodes {
			if n != nil {
				wg.Go(func() { _ = n.Close() }) // one that was expelled has an error
			}
		}
		wg.Wait()
	})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(nodes, func(a, b *engine.Node) int { return a.Rank() - b.Rank() })
	return nodes
}

// Stall has a node stand still, which the others take for dead after their timeout,
// until resume is called or the test ends.
func Stall(t testing.TB, n *engine.Node) (resume func()) {
	t.Helper()
	stands, goes := make(chan struct{}), make(chan struct{})
	resume = sync.OnceFunc(func() { close(goes) })
	var once sync.Once
	g, err := n.Join(Patient(t), fmt.Sprintf("stall-%x", rand.Uint64()), engine.HandlerFunc(func(*engine.Message) {
		once.Do(func() { close(stands) })
		<-goes
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(resume)
	if err := g.Send(Patient(t), engine.FIFO, nil); err != nil {
		t.Fatal(err)
	}
	<-stands
	return resume
}

// Patient returns a context for what should take much less than 20 s.
func Patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Eventually waits until ok says so.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
