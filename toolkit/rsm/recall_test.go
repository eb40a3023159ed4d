package rsm

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
)

type sink struct{ sent [][]byte }

func (s *sink) Send(_ engine.Level, payload []byte) { s.sent = append(s.sent, payload) }

// proposed has m alone propose "x", and returns what it is told.
func proposed(m *machine, id ID) (o outcome) {
	out := &sink{}
	m.propose(id, []byte("x"), out, &waiter{func(k outcome) { o = k }})
	for _, b := range out.sent {
		m.Deliver(toolkit.Message{Payload: b}, out)
	}
	return o
}

// TestForgotten: what may have been applied too long ago is refused, not applied again.
func TestForgotten(t *testing.T) {
	m, err := newMachine(counters{})
	if err != nil {
		t.Fatal(err)
	}
	m.recall.limit = 3
	propose := func(id ID) outcome { return proposed(m, id) }
	first := ID{1, 1, 0}
	for i := range uint64(4) {
		if o := propose(ID{1, i + 1, i}); o.err != nil || parse(t, o.result) != int(i)+1 {
			t.Fatalf("proposal %d: %s, %v", i+1, o.result, o.err)
		}
	}
	if o := propose(first); !errors.Is(o.err, ErrForgotten) {
		t.Errorf("%s, %v: want ErrForgotten", o.result, o.err)
	}
	if o := propose(ID{1, 2, 1}); o.err != nil || parse(t, o.result) != 2 {
		t.Errorf("what is remembered is %s, %v: want 2", o.result, o.err)
	}
	if n := m.app.(counters)["x"]; n != 4 {
		t.Errorf("applied %d times, want 4", n)
	}
}

// TestIDFromAhead: an ID drawn at a position that this history has not reached is refused
// until it is reached. Applied before, it would be forgotten before the floor refuses it.
func TestIDFromAhead(t *testing.T) {
	m, err := newMachine(counters{})
	if err != nil {
		t.Fatal(err)
	}
	m.recall.limit = 3
	ahead := ID{7, 1, 12}
	for m.position < 40 {
		proposed(m, ahead)
		if n := m.app.(counters)["x"]; n > 1 || n == 1 && m.position <= ahead.Since {
			t.Fatalf("applied %d times at position %d: %v", n, m.position, ahead)
		}
		for range 4 { // so that all before is forgotten
			if o := m.execute(ID{1, m.position, m.position}, []byte("y")); o.err != nil {
				t.Fatalf("an ID of this history, at position %d: %v", m.position, o.err)
			}
		}
	}
	if n := m.app.(counters)["x"]; n != 1 {
		t.Errorf("applied %d times, want 1", n)
	}
}

// FuzzRestore: no state makes a member panic, or take memory that was not sent.
func FuzzRestore(f *testing.F) {
	m, err := newMachine(counters{})
	if err != nil {
		f.Fatal(err)
	}
	m.execute(ID{1, 1, 0}, []byte("x"))
	m.execute(ID{1, 2, 0}, []byte("y"))
	r, err := m.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	good, err := io.ReadAll(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := newMachine(counters{})
		if err != nil {
			t.Fatal(err)
		}
		if k.Restore(bytes.NewReader(b)) != nil {
			return
		}
		k.execute(ID{1, 1, 0}, []byte("x"))
		table := newRecall()
		if err := table.read(bufio.NewReader(bytes.NewReader(k.recall.append(nil)))); err != nil {
			t.Errorf("what was restored cannot be written: %v", err)
		}
	})
}

// FuzzDeliver: no message makes a member panic.
func FuzzDeliver(f *testing.F) {
	f.Add(appendCommand(nil, ID{1, 2, 3}, []byte("x")))
	f.Add(appendNumbers(nil, tagBarrier, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := newMachine(counters{})
		if err != nil {
			t.Fatal(err)
		}
		m.Deliver(toolkit.Message{Payload: b}, &sink{})
	})
}
