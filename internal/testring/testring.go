// Package testring opens nodes in a test's own process, and has them fail.
package testring

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

// Timeout is that of a node of a test that has no reason for another.
const Timeout = time.Second

// Patience is how long a test waits for what should happen soon.
const Patience = 20 * time.Second

// Patient returns a context that ends after Patience.
func Patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Config is that of a node on lo, of a cluster with this name.
func Config(t testing.TB, cluster, name string) engine.Config {
	return engine.Config{
		Cluster: cluster, Name: name, Interface: "lo", Timeout: Timeout,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

// Cluster returns a name that no other test has.
func Cluster(t testing.TB) string { return fmt.Sprintf("%s-%x", t.Name(), rand.Uint64()) }

// Add opens one more node, which is closed when the test ends.
func Add(t testing.TB, cluster, name string) *engine.Node {
	t.Helper()
	n, err := engine.Open(Patient(t), Config(t, cluster, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() }) // a test that cares closes it itself
	return n
}

// Open opens n nodes that are all in one view, of a ring of their own, the oldest first.
// One that is silent for timeout is taken for dead.
func Open(t testing.TB, n int, timeout time.Duration) []*engine.Node {
	t.Helper()
	cluster, ctx := Cluster(t), Patient(t)
	nodes, errs := make([]*engine.Node, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			c := Config(t, cluster, fmt.Sprint("node", i))
			c.Expect, c.Timeout = n, timeout
			if nodes[i], errs[i] = engine.Open(ctx, c); errs[i] == nil {
				errs[i] = nodes[i].AwaitMembers(ctx, n)
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() { Close(nodes...) })
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(nodes, func(a, b *engine.Node) int { return a.Rank() - b.Rank() })
	return nodes
}

// Stall has nodes stand still, which the others take for dead after their timeout, until
// resume is called or the test ends.
func Stall(t testing.TB, nodes ...*engine.Node) (resume func()) {
	t.Helper()
	goes := make(chan struct{})
	resume = sync.OnceFunc(func() { close(goes) })
	t.Cleanup(resume)
	var stand []func()
	for _, n := range nodes {
		stands := make(chan struct{})
		var once sync.Once
		g, err := n.Join(Patient(t), fmt.Sprintf("stall-%x", rand.Uint64()), engine.HandlerFunc(func(*engine.Message) {
			once.Do(func() { close(stands) })
			<-goes
		}))
		if err != nil {
			t.Fatal(err)
		}
		stand = append(stand, func() {
			if err := g.Send(Patient(t), engine.FIFO, nil); err != nil {
				t.Fatal(err)
			}
			<-stands
		})
	}
	for _, f := range stand {
		f()
	}
	return resume
}

// Closed waits until c is closed.
func Closed(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(Patience):
		t.Fatalf("not after %v: %s", Patience, what)
	}
}

// Close closes nodes at once, those that there are.
func Close(nodes ...*engine.Node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		if n != nil {
			wg.Go(func() { _ = n.Close() })
		}
	}
	wg.Wait()
}

// Eventually waits until ok.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s", Patience, what)
		}
	}
}
