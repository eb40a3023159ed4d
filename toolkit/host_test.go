package toolkit_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tally counts what is sent, and answers each "ping" of another with an "echo".
type tally struct {
	toolkit.Stateless
	count    uint64
	echoes   uint64
	self     uint64
	view     int
	expelled bool
}

func (m *tally) Deliver(k toolkit.Message, out toolkit.Out) {
	switch {
	case string(k.Payload) == "echo":
		m.echoes++
	default:
		m.count++
		if k.From != m.self {
			out.Send(engine.FIFO, []byte("echo"))
		}
	}
}

func (m *tally) View(v toolkit.View, _ toolkit.Out) {
	m.self, m.view = v.Self, len(v.Members)
	m.expelled = m.expelled || v.Expelled
}

func (m *tally) Snapshot() (io.ReadCloser, error) {
	r, w := io.Pipe()
	count := m.count
	go func() { _ = w.CloseWithError(binary.Write(w, binary.LittleEndian, count)) }()
	return r, nil
}

func (m *tally) Restore(r io.Reader) error { return binary.Read(r, binary.LittleEndian, &m.count) }

func join(t *testing.T, n *engine.Node) *toolkit.Host[*tally] {
	t.Helper()
	h, err := toolkit.Join(testring.Patient(t), n, "tally", &tally{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func await(t *testing.T, h *toolkit.Host[*tally], what string, ok func(m *tally) bool) {
	t.Helper()
	if err := h.Await(testring.Patient(t), func(m *tally) (bool, error) { return ok(m), nil }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestMachinesTalk: what Do and Deliver send comes to all, and a joiner has the state.
func TestMachinesTalk(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	a, b := join(t, nodes[0]), join(t, nodes[1])
	await(t, a, "both are in", func(m *tally) bool { return m.view == 2 })
	for range 10 {
		if err := a.Do(testring.Patient(t), func(_ *tally, out toolkit.Out) error {
			out.Send(engine.Total, []byte("ping"))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*toolkit.Host[*tally]{a, b} {
		await(t, h, "10 pings and echoes", func(m *tally) bool { return m.count == 10 && m.echoes == 10 })
	}
	c := join(t, nodes[2])
	c.Look(func(m *tally) {
		if m.count != 10 {
			t.Errorf("the joiner's state is %d, want 10", m.count)
		}
	})
}

// TestWaitsEnd: Await and Do return when they cannot go on.
func TestWaitsEnd(t *testing.T) {
	node := testring.Add(t, testring.Cluster(t), "alone")
	never := func(*tally) (bool, error) { return false, nil }
	h := join(t, node)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := h.Await(ctx, never); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), strconv.Quote(h.Group().Name())) {
		t.Errorf("%v, want the context's error, and in which group of the tools", err)
	}
	mine := errors.New("mine")
	if err := h.Await(t.Context(), func(*tally) (bool, error) { return false, mine }); err != mine {
		t.Errorf("%v, want the function's own error", err)
	}

	waiting := make(chan error, 2)
	go func() { waiting <- h.Await(testring.Patient(t), never) }()
	if err := h.Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("%v after leaving, want ErrNotMember", err)
	}
	if err := h.Do(t.Context(), func(*tally, toolkit.Out) error { return nil }); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("%v after leaving, want ErrNotMember", err)
	}

	h = join(t, node)
	go func() { waiting <- h.Await(testring.Patient(t), never) }()
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, engine.ErrClosed) && !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("%v after closing, want ErrClosed", err)
	}
}

// TestExpulsionEndsWaits: the machine begins anew, and who waited is told.
func TestExpulsionEndsWaits(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	var hosts []*toolkit.Host[*tally]
	for _, n := range nodes {
		hosts = append(hosts, join(t, n))
	}
	youngest := 0
	for i, n := range nodes {
		if n.Rank() == 2 {
			youngest = i
		}
	}
	h := hosts[youngest]
	waiting, asked := make(chan error, 1), make(chan struct{})
	waits := sync.OnceFunc(func() { close(asked) })
	go func() {
		waiting <- h.Await(testring.Patient(t), func(*tally) (bool, error) { waits(); return false, nil })
	}()
	<-asked               // one that begins to wait after the expulsion waits for the next
	h.Look(func(*tally) { // its loop stands still for longer than Timeout, with a message to deliver
		other := hosts[(youngest+1)%3]
		if err := other.Do(testring.Patient(t), func(_ *tally, out toolkit.Out) error {
			out.Send(engine.FIFO, []byte("ping"))
			return nil
		}); err != nil {
			t.Error(err)
		}
		time.Sleep(1500 * time.Millisecond)
	})
	if err := <-waiting; !errors.Is(err, engine.ErrExpelled) {
		t.Fatalf("%v, want ErrExpelled", err)
	}
	await(t, h, "it is back", func(m *tally) bool { return m.expelled && m.view == 3 })
}
