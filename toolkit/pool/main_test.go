package pool

import (
	"testing"

	"cohort/engine"
	"cohort/internal/testring"

	"go.uber.org/goleak"
)

// TestMain fails the package if a worker outlives its work.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join has a node alone join a group with a pool.
func join(t testing.TB, c Config, h Handler) (*Pool, *engine.Group) {
	t.Helper()
	p, err := New(c, h)
	if err != nil {
		t.Fatal(err)
	}
	g, err := testring.Add(t, testring.Cluster(t), "node").Join(testring.Patient(t), "pool", p.Handler())
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
