package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"cohort/client/session"
	"cohort/engine"
	"cohort/internal/testring"
)

// shut is a handler whose View waits.
type shut struct {
	in   chan struct{}
	gate chan struct{}
}

func (h *shut) Deliver(*engine.Message) {}

func (h *shut) View(engine.GroupView) {
	select {
	case h.in <- struct{}{}:
	default:
	}
	<-h.gate
}

// TestJoinEndsWithTheNode: nobody waits for a member to be ready whose node has ended.
func TestJoinEndsWithTheNode(t *testing.T) {
	_, node, s, _ := alone(t)
	h := &shut{make(chan struct{}, 1), make(chan struct{})}
	joined := make(chan error, 1)
	ctx := testring.Patient(t)
	go func() { _, err := s.JoinQueued(ctx, "other", h, 0); joined <- err }()
	<-h.in
	closed := make(chan struct{})
	go func() { _ = node.Close(); close(closed) }()
	err := <-joined
	close(h.gate)
	<-closed
	if !errors.Is(err, engine.ErrClosed) {
		t.Errorf("%v, want engine.ErrClosed", err)
	}
}

// TestJoinCutShortWithoutRoom: the group is left all the same, once there is room for that.
func TestJoinCutShortWithoutRoom(t *testing.T) {
	_, node, s, _ := alone(t)
	h := &shut{make(chan struct{}, 1), make(chan struct{})}
	joined := make(chan error, 1)
	ctx, cancel := context.WithCancel(testring.Patient(t))
	defer cancel()
	go func() { _, err := s.JoinQueued(ctx, "shut", h, 0); joined <- err }()
	<-h.in
	other, resume := stalled(t, testring.Patient(t), node)
	fill(other)
	cancel()
	err := <-joined
	resume()
	close(h.gate)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
	testring.Eventually(t, "the group can be joined again", func() bool {
		_, err := s.Join(testring.Patient(t), "shut", engine.HandlerFunc(func(*engine.Message) {}))
		return err == nil
	})
}

// TestJoinWithoutAHandler: a function that is nil would end the program at the first message.
func TestJoinWithoutAHandler(t *testing.T) {
	ctx, _, s, _ := alone(t)
	if _, err := s.Join(ctx, "other", engine.HandlerFunc(nil)); !errors.Is(err, engine.ErrConfig) {
		t.Errorf("%v, want ErrConfig", err)
	}
}

// nilState is a handler that takes an empty state for none.
type nilState struct{ engine.HandlerFunc }

func (nilState) Snapshot() (io.ReadCloser, error) { return nil, nil }

func (nilState) Restore(io.Reader) error { return nil }

// TestNilSnapshot of the application's: the engine is to see it.
func TestNilSnapshot(t *testing.T) {
	if r, err := stream([]byte("head"), nilState{}); r != nil || err != nil {
		t.Errorf("%v, %v; want neither", r, err)
	}
}

// TestBadConfig: what cannot be is refused with one error, as in package engine.
func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{{MaxClients: -1}, {Connections: -1}, {Forget: 1}} {
		if _, err := New(&engine.Node{}, cfg); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", cfg, err)
		}
	}
	if _, err := New(nil, Config{}); !errors.Is(err, engine.ErrConfig) {
		t.Errorf("no node: %v, want ErrConfig", err)
	}
}

// TestLeaveIsNoTrouble: messages that come while this member leaves may want something of it,
// and that it cannot be sent any more is as it should be.
func TestLeaveIsNoTrouble(t *testing.T) {
	ctx, _, s, g := alone(t)
	var log bytes.Buffer
	s.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if err := g.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	g.submit(session.Output{Do: session.Submit, Level: session.FIFO})
	if log.Len() > 0 {
		t.Errorf("after Leave the log has: %s", &log)
	}
}
