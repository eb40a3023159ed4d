package lock

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
)

type discard struct{}

func (discard) Send(engine.Level, []byte) {}

func FuzzDeliver(f *testing.F) {
	f.Add(appendRequest(nil, 1, 5, &claim{name: "a", weight: 1, capacity: 1}), appendRelease(nil, 1, "a"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		m := newMachine(0)
		for _, p := range [][]byte{a, b, a} {
			m.Deliver(toolkit.Message{From: 1, Payload: p}, discard{})
		}
		copied := newMachine(0)
		r, _ := m.Snapshot()
		if err := copied.Restore(r); err != nil {
			t.Fatal(err)
		}
		if x, y := appendState(nil, m.count, m.all()), appendState(nil, copied.count, copied.all()); !bytes.Equal(x, y) {
			t.Fatalf("%x is restored as %x", x, y)
		}
	})
}

func FuzzRestore(f *testing.F) {
	f.Add(appendState(nil, 9, []*request{{member: 1, serial: 2, name: "a", weight: 1, capacity: 3, token: 7}, {member: 1, serial: 3, name: "b", weight: 1, capacity: 1, token: 9}}))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMachine(0)
		if m.Restore(bytes.NewReader(b)) != nil {
			return
		}
		r, _ := m.Snapshot()
		if out, _ := io.ReadAll(r); !bytes.Equal(out, b) {
			t.Fatalf("%x is restored as %x", b, out)
		}
	})
}

func TestBadStates(t *testing.T) {
	good := appendState(nil, 9, []*request{{member: 1, serial: 2, name: "abc", weight: 1, capacity: 3, token: 7}})
	for n := range good {
		if err := newMachine(0).Restore(bytes.NewReader(good[:n])); n != stateHead && err == nil {
			t.Errorf("%d bytes of %d are taken", n, len(good))
		}
	}
	bad := appendState(nil, 9, []*request{{name: "a", weight: 4, capacity: 3, token: 7}})
	if err := newMachine(0).Restore(bytes.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "weight 4 of 3") {
		t.Errorf("a weight above the capacity: %v", err)
	}
}

// TestAWrongRequestRefusesNoOther: one of another capacity, whose owner has yet to hear that it
// is refused, is no reason to refuse one of the right capacity.
func TestAWrongRequestRefusesNoOther(t *testing.T) {
	m := newMachine(0)
	m.self = 2
	asks := func(from uint64, c *claim) {
		m.Deliver(toolkit.Message{From: from, Payload: appendRequest(nil, c.serial, 0, c)}, discard{})
	}
	asks(1, &claim{name: "s", weight: 1, capacity: 3, serial: 1})
	asks(3, &claim{name: "s", weight: 1, capacity: 4, serial: 1})
	right, wrong := &claim{name: "s", weight: 1, capacity: 3, settled: make(chan struct{})}, &claim{name: "s", weight: 1, capacity: 4, settled: make(chan struct{})}
	for _, c := range []*claim{right, wrong} {
		m.ask(c, discard{})
		asks(2, c)
	}
	if right.err != nil || right.grant == nil {
		t.Errorf("the right one: %v, granted: %v", right.err, right.grant != nil)
	}
	if !errors.Is(wrong.err, ErrCapacity) {
		t.Errorf("the wrong one: %v", wrong.err)
	}
}
