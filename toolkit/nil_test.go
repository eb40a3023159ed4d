package toolkit_test

import (
	"context"
	"errors"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit/cohort"
	"cohort/toolkit/kv"
	"cohort/toolkit/leader"
	"cohort/toolkit/lock"
	"cohort/toolkit/pool"
	"cohort/toolkit/pubsub"
	"cohort/toolkit/rsm"
	"cohort/toolkit/snapshot"
	"cohort/toolkit/vote"
)

// TestNilContextIsRefused by all that waits, as in package engine, and changes nothing: what
// was joined can be used afterwards.
func TestNilContextIsRefused(t *testing.T) {
	node, ctx := testring.Add(t, testring.Cluster(t), "alone"), testring.Patient(t)
	broker, err := pubsub.Join(ctx, node, pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := broker.Subscribe(ctx, "a", pubsub.Options{}, func(*pubsub.Message) {})
	if err != nil {
		t.Fatal(err)
	}
	m, err := kv.Join(ctx, node, "kv", kv.Config[string, int]{})
	if err != nil {
		t.Fatal(err)
	}
	w := m.Watch()
	defer w.Close()
	locks, err := lock.Join(ctx, node, "lock")
	if err != nil {
		t.Fatal(err)
	}
	mutex := locks.Mutex("m", engine.Total)
	election, err := leader.Join(ctx, node, "leader")
	if err != nil {
		t.Fatal(err)
	}
	var none context.Context
	for name, call := range map[string]func() error{
		"join":     func() error { _, err := lock.Join(none, node, "other"); return err },
		"lock":     func() error { _, err := mutex.Lock(none); return err },
		"leader":   func() error { _, err := election.Await(none); return err },
		"kv put":   func() error { _, err := m.Put(none, "k", 1); return err },
		"kv get":   func() error { _, _, err := m.GetLatest(none, "k"); return err },
		"kv mutex": func() error { _, err := m.Mutex(none, "k"); return err },
		"kv watch": func() error { _, err := w.Next(none); return err },
		"kv leave": func() error { return m.Leave(none) },
		"keep":     func() error { _, err := pubsub.Join(none, node, pubsub.Config{Name: "kept", Keep: true}); return err },
		"publish":  func() error { return broker.Publish(none, "a", engine.FIFO, nil) },
		"subscribe": func() error {
			_, err := broker.Subscribe(none, "b", pubsub.Options{}, func(*pubsub.Message) {})
			return err
		},
		"sub close":  func() error { return sub.Close(none) },
		"pubs leave": func() error { return broker.Leave(none) },
	} {
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panics: %v", name, p)
				}
			}()
			if err := call(); !errors.Is(err, engine.ErrConfig) {
				t.Errorf("%s: %v, want ErrConfig", name, err)
			}
		}()
	}
	if t.Failed() {
		return // what follows may wait for ever
	}
	if _, err := mutex.Lock(ctx); err != nil {
		t.Error(err)
	}
	if _, err := m.Put(ctx, "k", 1); err != nil {
		t.Error(err)
	}
	if err := sub.Close(ctx); err != nil {
		t.Error(err)
	}
	for _, leave := range []func(context.Context) error{m.Leave, broker.Leave, locks.Leave, election.Leave} {
		if err := leave(ctx); err != nil {
			t.Error(err)
		}
	}
}

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
