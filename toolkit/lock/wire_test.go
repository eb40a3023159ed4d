package lock

import (
	"bytes"
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

// TestExclusiveIsExclusive: releases have no place in the order, so the first one's comes before
// the second request at member 3, and after the third one at member 2. Whoever asks for another
// capacity than any request before it is refused, or two of these would have it.
func TestExclusiveIsExclusive(t *testing.T) {
	ms := map[uint64]*machine{}
	for _, id := range []uint64{2, 3, 4} {
		ms[id] = newMachine(0)
		ms[id].self = id
	}
	claims := map[uint64]*claim{}
	for id, capacity := range map[uint64]uint32{2: 1, 3: 4, 4: 4} {
		claims[id] = &claim{name: "s", weight: 1, capacity: capacity, settled: make(chan struct{})}
		ms[id].ask(claims[id], discard{})
	}
	first := &claim{name: "s", weight: 1, capacity: 1, serial: 7}
	asks := func(at, from uint64) {
		c := first
		if from != 1 {
			c = claims[from]
		}
		ms[at].Deliver(toolkit.Message{From: from, Payload: appendRequest(nil, c.serial, 0, c)}, discard{})
	}
	releases := func(at, from, serial uint64) {
		ms[at].Deliver(toolkit.Message{From: from, Payload: appendRelease(nil, serial, "s")}, discard{})
	}
	for at := range ms {
		asks(at, 1)
		if at != 2 {
			releases(at, 1, 7)
		}
		asks(at, 3)
		asks(at, 2)
		if at == 2 {
			releases(at, 1, 7)
		}
		asks(at, 4)
		releases(at, 3, claims[3].serial)
	}
	if claims[2].grant != nil && claims[4].grant != nil {
		t.Error("member 2 has it alone, and member 4 has it too")
	}
}
