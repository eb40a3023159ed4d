package leader

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/membership"
	"cohort/toolkit"
)

// outs keeps what a machine sends.
type outs []toolkit.Message

func (o *outs) Send(l engine.Level, p []byte) {
	*o = append(*o, toolkit.Message{Level: l, Payload: append([]byte(nil), p...)})
}

func viewOf(self uint64, ids ...uint64) toolkit.View {
	v := toolkit.View{Self: self}
	for _, id := range ids {
		v.Members = append(v.Members, membership.Member{ID: id})
	}
	return v
}

// TestAnOlderNodeJoins: who leads goes on, and can renew its term. A claim that was on its
// way when an older one came counts for nothing.
func TestAnOlderNodeJoins(t *testing.T) {
	m, o := newMachine(100), &outs{}
	m.View(viewOf(2, 2, 3), o)
	claim := func(from uint64) toolkit.Message {
		return toolkit.Message{From: from, Payload: (*o)[0].Payload}
	}
	m.View(viewOf(2, 1, 2, 3), o)
	m.Deliver(claim(2), o)
	if s := m.standing(); s.Known {
		t.Fatalf("standing %+v though the oldest has not claimed", s)
	}
	m.View(viewOf(2, 2, 3), o)
	m.Deliver(claim(2), o)
	if s := m.standing(); !s.Self || s.Number != 100 || m.term.Number != 100 {
		t.Fatalf("standing %+v, want this member's term 100", s)
	}
	first := m.term
	m.View(viewOf(2, 1, 2, 3), o)
	m.Deliver(claim(1), o)
	if s := m.standing(); !s.Self || m.term != first {
		t.Fatalf("standing %+v after an older one has joined", s)
	}
	blocked := viewOf(2, 1, 2, 3)
	blocked.Blocked = true
	m.View(blocked, o)
	if _, open := <-first.Done(); open || m.standing().Known {
		t.Fatal("the term goes on while there is no quorum")
	}
	m.Deliver(claim(2), o)
	if s := m.standing(); !s.Self || s.Number != 101 {
		t.Fatalf("standing %+v, want the renewed term 101", s)
	}
	m.View(viewOf(2, 1, 3), o) // it has left
	if s := m.standing(); s.Known || m.term != nil {
		t.Fatalf("standing %+v after leaving", s)
	}
}

func TestBadInput(t *testing.T) {
	m, o := newMachine(0), &outs{}
	m.View(viewOf(1, 1), o)
	for _, p := range [][]byte{nil, {tagClaim}, make([]byte, claimLen), make([]byte, 2*claimLen)} {
		if m.Deliver(toolkit.Message{From: 1, Payload: p}, o); m.term != nil {
			t.Errorf("%x began a term", p)
		}
	}
	for _, n := range []int{0, stateLen - 1, stateLen + 1} {
		if err := m.Restore(strings.NewReader(strings.Repeat("x", n))); err == nil || !strings.Contains(err.Error(), "want 16") {
			t.Errorf("a state of %d bytes: %v", n, err)
		}
	}
}

func join(t *testing.T, nodes []*engine.Node) (list []*Election) {
	t.Helper()
	for _, n := range nodes {
		e, err := Join(testring.Patient(t), n, "chief")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// TestFailover: the leader stands still, another leads, and the first one learns that it
// does not any more and stands again.
func TestFailover(t *testing.T) {
	nodes := testring.Open(t, 3, 300*time.Millisecond)
	list := join(t, nodes)
	first, err := list[0].Await(testring.Patient(t))
	if err != nil {
		t.Fatal(err)
	}
	before, err := list[1].Changed(testring.Patient(t), Standing{})
	if err != nil || before.Number != first.Number || before.Leader.ID != nodes[0].View().Members[0].ID {
		t.Fatalf("standing %+v (%v), want node 0's term %d", before, err, first.Number)
	}
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := list[1].Await(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Await of one who does not lead: %v", err)
	}
	resume := testring.Stall(t, nodes[0])
	second, err := list[1].Await(testring.Patient(t))
	if err != nil || second.Number <= first.Number {
		t.Fatalf("term %+v (%v), want a number above %d", second, err, first.Number)
	}
	resume()
	testring.Closed(t, "the end of the first term", first.Done())
	testring.Eventually(t, "the first one knows who leads", func() bool { return list[0].Current().Number == second.Number && list[0].Current().Known })
	if err := list[1].Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	testring.Closed(t, "the end of the second term", second.Done())
	third, err := list[2].Await(testring.Patient(t))
	if err != nil || third.Number <= second.Number {
		t.Fatalf("term %+v (%v), want a number above %d", third, err, second.Number)
	}
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	testring.Closed(t, "the end of the third term", third.Done())
	if _, err := list[2].Await(testring.Patient(t)); err == nil {
		t.Error("Await on a closed node succeeded")
	}
}

// TestBlockedLeader: of three, two stand still: the leader is none, and leads by a new
// number when they go on.
func TestBlockedLeader(t *testing.T) {
	nodes := testring.Open(t, 3, 300*time.Millisecond)
	list := join(t, nodes)
	first, err := list[0].Await(testring.Patient(t))
	if err != nil {
		t.Fatal(err)
	}
	resume := testring.Stall(t, nodes[1:]...)
	testring.Closed(t, "the end of the term without a quorum", first.Done())
	if s := list[0].Current(); s.Known {
		t.Errorf("standing %+v without a quorum", s)
	}
	resume()
	testring.Eventually(t, "a leader that all know", func() bool {
		a, b, c := list[0].Current(), list[1].Current(), list[2].Current()
		return a.Known && a.Number > first.Number && a.Number == b.Number && b.Number == c.Number && b.Known && c.Known
	})
}
