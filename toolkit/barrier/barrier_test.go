package barrier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/membership"
	"cohort/toolkit"
)

func join(t testing.TB, nodes []*engine.Node, parties int, f OnFailure) (list []*Barrier) {
	t.Helper()
	for _, n := range nodes {
		b, err := Join(testring.Patient(t), n, "barrier", parties, f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// TestMeet: none is ahead of another by more than a generation, and who comes before there
// are enough waits.
func TestMeet(t *testing.T) {
	nodes := testring.Open(t, 3, time.Minute)
	first := join(t, nodes[:1], 3, GoOn)[0]
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := first.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Wait of one of three: %v", err)
	}
	list := append(join(t, nodes[1:], 3, GoOn), first)
	var came [50]atomic.Int32
	var wg sync.WaitGroup
	for _, b := range list {
		wg.Go(func() {
			for k := range came {
				came[k].Add(1)
				if g, err := b.Wait(testring.Patient(t)); err != nil || g != uint64(k+1) {
					t.Errorf("Wait %d: generation %d, %v", k, g, err)
				}
				if n := came[k].Load(); n != 3 {
					t.Errorf("generation %d passed with %d of 3", k, n)
				}
			}
		})
	}
	wg.Wait()
}

// TestFailure: a member that stands still is waited for no more, or breaks the generation
// for all, also those who come later, and for each only once.
func TestFailure(t *testing.T) {
	for _, f := range []OnFailure{GoOn, Break} {
		nodes := testring.Open(t, 3, 300*time.Millisecond)
		list := join(t, nodes, 3, f)
		errs := make(chan error)
		wait := func(b *Barrier) { _, err := b.Wait(testring.Patient(t)); errs <- err }
		go wait(list[0])
		resume := testring.Stall(t, nodes[2])
		testring.Eventually(t, "a view of two", func() bool { return list[1].host.Group().Size() == 2 })
		go wait(list[1])
		for range 2 {
			if err := <-errs; errors.Is(err, ErrBroken) != bool(f) || f == GoOn && err != nil {
				t.Fatalf("a failure with %v: %v", f, err)
			}
		}
		resume()
		testring.Eventually(t, "three again", func() bool {
			return list[1].host.Group().Size() == 3 && list[2].host.Group().Size() == 3
		})
		for _, b := range list {
			go wait(b)
		}
		for range list {
			if err := <-errs; err != nil {
				t.Fatalf("when all are back: %v", err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	nodes := testring.Open(t, 2, time.Minute)
	b := join(t, nodes[:1], 3, GoOn)[0]
	for parties, want := range map[int]string{0: "0 parties", 65: "65 parties", 2: "the group's has 3 parties"} {
		if _, err := Join(testring.Patient(t), nodes[1], "barrier", parties, GoOn); !errors.Is(err, engine.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d parties: %v", parties, err)
		}
	}
	waits := make(chan error)
	go func() { _, err := b.Wait(testring.Patient(t)); waits <- err }()
	testring.Eventually(t, "one who waits", func() (ok bool) {
		b.host.Look(func(m *machine) { ok = len(m.arrived) == 1 })
		return ok
	})
	if _, err := b.Wait(testring.Patient(t)); !errors.Is(err, ErrWaiting) {
		t.Errorf("a second Wait: %v", err)
	}
	if err := b.Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("Wait while leaving: %v", err)
	}
}

// TestBrokenTwice: one who has missed several generations that broke is told once.
func TestBrokenTwice(t *testing.T) {
	m := newMachine(2, true)
	v := toolkit.View{Self: 1}
	for _, id := range []uint64{1, 2, 3} {
		v.Members = append(v.Members, membership.Member{ID: id})
	}
	m.View(v, nil)
	for len(v.Members) > 1 {
		v.Left = []engine.Departed{{Member: v.Members[1], Reason: membership.Crashed}}
		v.Members = append(v.Members[:1:1], v.Members[2:]...)
		m.View(v, nil)
	}
	if w := m.arrive(nil); !w.over || !errors.Is(w.err, ErrBroken) || w.generation != 1 {
		t.Errorf("%+v, want that generation 1 broke", w)
	}
	var sent outs
	w := m.arrive(&sent)
	m.Deliver(toolkit.Message{From: 1, Payload: sent[0]}, nil)
	if !w.over || w.err != nil || w.generation != 3 {
		t.Errorf("%+v, want generation 3 passed alone", w)
	}
}

type outs [][]byte

func (o *outs) Send(_ engine.Level, p []byte) { *o = append(*o, bytes.Clone(p)) }

func FuzzRestore(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x02\x05\x00\x00\x00\x00\x00\x00\x00membersIDmemberID"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMachine(2, false)
		if m.Restore(bytes.NewReader(b)) != nil {
			return
		}
		r, _ := m.Snapshot()
		if out, _ := io.ReadAll(r); !bytes.Equal(out, b) {
			t.Fatalf("%x is restored as %x", b, out)
		}
		m.Deliver(toolkit.Message{From: 1, Payload: b}, nil)
	})
}
