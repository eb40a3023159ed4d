package toolkit_test

import (
	"context"
	"errors"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit/cohort"
	"cohort/toolkit/pool"
	"cohort/toolkit/pubsub"
	"cohort/toolkit/rsm"
	"cohort/toolkit/snapshot"
	"cohort/toolkit/vote"
)

// TestNilIsRefused where it would end the program later: on the node's loop, at the first
// message or view, and at every member.
func TestNilIsRefused(t *testing.T) {
	node, ctx := testring.Add(t, testring.Cluster(t), "alone"), testring.Patient(t)
	broker, err := pubsub.Join(ctx, node, pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	yes := func(context.Context, string, []byte) bool { return true }
	for name, join := range map[string]func() error{
		"cohort":   func() error { _, err := cohort.Join(ctx, node, "cohort", nil); return err },
		"rule":     func() error { _, err := vote.Join(ctx, node, "rule", nil, yes); return err },
		"voter":    func() error { _, err := vote.Join(ctx, node, "voter", vote.All, nil); return err },
		"snapshot": func() error { _, err := snapshot.Join(ctx, node, "snapshot", nil); return err },
		"rsm":      func() error { _, err := rsm.Join(ctx, node, "rsm", nil); return err },
		"pool":     func() error { _, err := pool.New(pool.Config{}, pool.HandlerFunc(nil)); return err },
		"pubsub":   func() error { _, err := broker.Subscribe(ctx, "a", pubsub.Options{}, nil); return err },
	} {
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panics: %v", name, p)
				}
			}()
			if err := join(); !errors.Is(err, engine.ErrConfig) {
				t.Errorf("%s: %v, want ErrConfig", name, err)
			}
		}()
	}
}
