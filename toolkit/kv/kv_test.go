package kv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit/rsm"
	"cohort/toolkit/rsm/durable"
)

func joinAll(t testing.TB, nodes []*engine.Node) (list []*Map[string, int]) {
	t.Helper()
	for _, n := range nodes {
		m, err := Join(testring.Patient(t), n, "map", Config[string, int]{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestChanges(t *testing.T) {
	list := joinAll(t, testring.Open(t, 2, time.Second))
	a, b := list[0], list[1]
	first := must(a.Put(testring.Patient(t), "x", 1))(t)
	if v, version, err := b.GetLatest(testring.Patient(t), "x"); v != 1 || version != first || err != nil {
		t.Errorf("%d of version %d, %v; want 1 of %d", v, version, err, first)
	}
	second, swapped, err := b.CompareAndSwap(testring.Patient(t), "x", first, 2)
	if !swapped || second <= first || err != nil {
		t.Errorf("%v to %d, %v; want a swap to more than %d", swapped, second, err, first)
	}
	if now, swapped, err := a.CompareAndSwap(testring.Patient(t), "x", first, 3); swapped || now != second || err != nil {
		t.Errorf("%v, %d, %v: want no swap, and to be told %d", swapped, now, err, second)
	}
	if now, swapped, err := a.CompareAndSwap(testring.Patient(t), "y", 0, 4); !swapped || now <= second || err != nil {
		t.Errorf("%v, %d, %v: want what was absent to be set", swapped, now, err)
	}
	if must(a.CompareAndDelete(testring.Patient(t), "x", first))(t) {
		t.Error("deleted, though of another version")
	}
	if !must(a.Delete(testring.Patient(t), "x"))(t) || must(a.Delete(testring.Patient(t), "x"))(t) {
		t.Error("want to be told that it was there, and then that it was not")
	}
	if v, version, err := a.Get("x"); version != 0 || v != 0 || err != nil {
		t.Errorf("%d of version %d, %v; want none", v, version, err)
	}
	if all := must(a.Copy())(t); !maps.Equal(all, map[string]int{"y": 4}) || a.Len() != 1 {
		t.Errorf("%v, %d entries; want y: 4", all, a.Len())
	}
}

// TestWatchersMissNothing: what a watcher is told is the map at any time, though its
// member is expelled and comes back meanwhile.
func TestWatchersMissNothing(t *testing.T) {
	nodes := testring.Open(t, 3, 250*time.Millisecond)
	list := joinAll(t, nodes)
	w := list[2].Watch()
	defer w.Close()
	must(w.Next(testring.Patient(t)))(t) // all of it: nothing
	var work sync.WaitGroup
	for i, m := range list[:2] {
		work.Go(func() {
			for k := range watchLimit / 3 {
				if _, err := m.Put(testring.Patient(t), fmt.Sprint(rand.IntN(20)), k); err != nil {
					t.Errorf("member %d: %v", i, err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	testring.Eventually(t, "some are put", func() bool { return list[2].Len() > 10 })
	resume := testring.Stall(t, nodes[2])
	testring.Eventually(t, "it is expelled", func() bool { return len(nodes[0].View().Members) == 2 })
	resume()
	work.Wait()
	must(list[0].Put(testring.Patient(t), "end", 1))(t)
	known, last, alls := map[string]int{}, uint64(0), 0 // alls since the beginning
	for known["end"] == 0 {
		e := must(w.Next(testring.Patient(t)))(t)
		switch {
		case e.All != nil:
			known = e.All
			alls++
		case e.Version <= last:
			t.Fatalf("version %d comes after %d", e.Version, last)
		default:
			known[e.Key], last = e.Value, e.Version
		}
	}
	if want := must(list[0].Copy())(t); !maps.Equal(known, want) {
		t.Errorf("the watcher knows %v, the map is %v", known, want)
	}
	if alls != 1 {
		t.Errorf("%d times all of the map, want it once, after the expulsion", alls)
	}
}

// TestSlowWatcher: who does not look is given the whole map in the end.
func TestSlowWatcher(t *testing.T) {
	m := joinAll(t, testring.Open(t, 1, time.Second))[0]
	w := m.Watch()
	defer w.Close()
	if e := must(w.Next(testring.Patient(t)))(t); e.All == nil || len(e.All) != 0 {
		t.Errorf("first event %+v, want all of an empty map", e)
	}
	must(m.Put(testring.Patient(t), "x", 7))(t)
	if e := must(w.Next(testring.Patient(t)))(t); e.All != nil || e.Key != "x" || e.Value != 7 {
		t.Errorf("%+v, want x to be 7", e)
	}
	for k := range watchLimit + 1 {
		must(m.Put(testring.Patient(t), "x", k))(t)
	}
	if e := must(w.Next(testring.Patient(t)))(t); !maps.Equal(e.All, map[string]int{"x": watchLimit}) {
		t.Errorf("%+v, want all", e)
	}
	must(m.Delete(testring.Patient(t), "x"))(t)
	if e := must(w.Next(testring.Patient(t)))(t); e.Key != "x" || !e.Deleted {
		t.Errorf("%+v, want x to be deleted", e)
	}
	if err := m.Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(testring.Patient(t)); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("%v, want ErrNotMember", err)
	}
}

// TestDurable: a map that was closed and is joined again has what was put.
func TestDurable(t *testing.T) {
	dir := t.TempDir()
	for life := range 3 {
		storage, err := durable.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		node := testring.Open(t, 1, time.Second)[0]
		m, err := Join(testring.Patient(t), node, "map", Config[string, int]{Durable: &rsm.Durability{Storage: storage, Disks: 1}})
		if err != nil {
			t.Fatal(err)
		}
		if life > 0 {
			if v, _, err := m.GetLatest(testring.Patient(t), "x"); v != life || err != nil {
				t.Errorf("life %d: %d, %v", life, v, err)
			}
		}
		must(m.Put(testring.Patient(t), "x", life+1))(t)
		if err := node.Close(); err != nil {
			t.Error(err)
		}
		testring.Closed(t, "the storage is released", m.Released())
		if err := storage.Close(); err != nil {
			t.Error(err)
		}
	}
}

// held is a storage whose Append waits for the gate.
type held struct {
	*durable.Log
	begun, gate chan struct{}
}

func (s *held) Append(records [][]byte) error {
	s.begun <- struct{}{}
	<-s.gate
	return s.Log.Append(records)
}

// TestReleased: the storage is the caller's once no call of it is under way; of a map that
// has none, from the beginning.
func TestReleased(t *testing.T) {
	storage, err := durable.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	node := testring.Open(t, 1, time.Second)[0]
	testring.Closed(t, "there is no storage", joinAll(t, []*engine.Node{node})[0].Released())
	s := &held{storage, make(chan struct{}, 1), make(chan struct{})}
	m, err := Join(testring.Patient(t), node, "durable", Config[string, int]{Durable: &rsm.Durability{Storage: s, Disks: 1}})
	if err != nil {
		t.Fatal(err)
	}
	go m.Put(testring.Patient(t), "x", 1) // its error is engine.ErrClosed
	<-s.begun
	if err := node.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-m.Released():
		t.Error("released, and a call is under way")
	case <-time.After(20 * time.Millisecond):
	}
	close(s.gate)
	testring.Closed(t, "it is released", m.Released())
	if err := storage.Close(); err != nil {
		t.Error(err)
	}
}

func TestCodecs(t *testing.T) {
	type point struct{ X, Y int }
	node := testring.Open(t, 1, time.Second)[0]
	m, err := Join(testring.Patient(t), node, "points", Config[point, point]{Values: Gob[point]{}})
	if err != nil {
		t.Fatal(err)
	}
	must(m.Put(testring.Patient(t), point{1, 2}, point{3, 4}))(t)
	if v, _, err := m.Get(point{1, 2}); v != (point{3, 4}) || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	bad, err := Join(testring.Patient(t), node, "functions", Config[string, func()]{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Put(testring.Patient(t), "f", nil); err == nil {
		t.Error("a function was put")
	}
}

// FuzzStore: no command and no state makes a member panic; what is restored can be given.
func FuzzStore(f *testing.F) {
	f.Add(command{put, anyVersion, []byte("k"), []byte("v")}.append(nil))
	s := newStore()
	s.Apply(command{put, 0, []byte("k"), []byte("v")}.append(nil))
	r, _ := s.Snapshot()
	b, err := io.ReadAll(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newStore()
		s.Apply(b)
		if s.Restore(bytes.NewReader(b)) != nil {
			return
		}
		r, _ := s.Snapshot()
		if err := newStore().Restore(r); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	m := joinAll(b, testring.Open(b, 1, time.Second))[0]
	if _, err := m.Put(b.Context(), "x", 1); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := m.Get("x"); err != nil {
			b.Fatal(err)
		}
	}
}
