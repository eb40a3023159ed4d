package pool

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"cohort/engine"

	"go.uber.org/goleak"
)

// TestMain fails the package if a worker outlives its work.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// open opens a node of a cluster on lo that the test has for itself.
func open(t testing.TB, cluster string) *engine.Node {
	t.Helper()
	n, err := engine.Open(patient(t), engine.Config{
		Cluster: cluster, Interface: "lo", Timeout: time.Minute, // handlers of tests stand still
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() }) // a test that cares closes it itself
	return n
}

func clusterOf(t testing.TB) string { return fmt.Sprintf("%s-%x", t.Name(), rand.Uint64()) }

// join has a node alone join a group with a pool.
func join(t testing.TB, c Config, h Handler) (*Pool, *engine.Group) {
	t.Helper()
	p, err := New(c, h)
	if err != nil {
		t.Fatal(err)
	}
	g, err := open(t, clusterOf(t)).Join(patient(t), "pool", p.Handler())
	if err != nil {
		t.Fatal(err)
	}
	return p, g
}

func send(t testing.TB, g *engine.Group, payload []byte) {
	t.Helper()
	if err := g.Send(t.Context(), engine.Total, payload); err != nil {
		t.Fatal(err)
	}
}
