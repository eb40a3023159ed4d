package snapshot

import (
	"encoding/json"
	"strings"
	"testing"

	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// holder has one thing that others ask for, and gives its word for it at once unless it
// waits for another's itself: then those who ask wait for as long.
type holder struct {
	For   uint64   // whom it waits for; 0: nobody
	Asked []uint64 // who waits for it
}

func (h *holder) Deliver(from uint64, payload []byte, send Send) {
	switch {
	case string(payload) == "grant":
		h.For = 0
		for _, id := range h.Asked {
			_ = send(id, []byte("grant"))
		}
		h.Asked = nil
	case h.For == 0:
		_ = send(from, []byte("grant"))
	default:
		h.Asked = append(h.Asked, from)
	}
}

func (h *holder) State() []byte {
	b, err := json.Marshal(h)
	if err != nil {
		panic(err)
	}
	return b
}

func (h *holder) View(toolkit.View) {}

// ask has the member ask another one, unless it waits already.
func ask(w *world, m *member) {
	list := m.View().Members
	i := w.Rand.IntN(len(list))
	m.Do(func(a *machine, out toolkit.Out) {
		h := a.app.(*holder)
		switch to := list[i].ID; {
		case w.Rand.IntN(4) == 0:
			a.take(out)
		case h.For == 0 && to != m.ID && a.send(to, []byte("ask"), out) == nil:
			h.For = to
		}
	})
}

// waits returns who waits for whom in a snapshot: a grant on its way ends a wait.
func waits(t *testing.T, s *Snapshot) map[uint64]uint64 {
	edges := map[uint64]uint64{}
	for _, m := range s.Members {
		var h holder
		if err := json.Unmarshal(m.State, &h); err != nil {
			t.Fatal(err)
		}
		edges[m.ID] = h.For
	}
	for _, l := range s.InFlight {
		if string(l.Payload) == "grant" {
			delete(edges, l.To)
		}
	}
	return edges
}

// cycle returns a member that waits for itself in the end; 0 if none does.
func cycle(edges map[uint64]uint64) uint64 {
	for id := range edges {
		at := edges[id]
		for range edges {
			if at == id {
				return id
			}
			at = edges[at]
		}
	}
	return 0
}

// poll asks each member at another time: some now, others what they said before.
type poll struct{ said map[uint64]uint64 }

// TestDeadlock: what a snapshot shows as a deadlock is one for good, and it does show all. Who
// asks one after the other finds deadlocks that are none.
func TestDeadlock(t *testing.T) {
	var found, phantoms, fine int
	for seed := range uint64(150) {
		dead := false // a snapshot has shown it
		naive := poll{map[uint64]uint64{}}
		suspected := false
		w, err := toolsim.New(seed, toolsim.Config[*machine]{
			Members: 3, Act: ask,
			Make: func() *machine { return newMachine(&holder{}) },
			Check: func(w *world) error {
				list := w.Members()
				one := list[w.Rand.IntN(len(list))]
				naive.said[one.ID] = one.Machine.app.(*holder).For
				suspected = suspected || cycle(naive.said) != 0
				for _, m := range list {
					for num, c := range m.Machine.cuts {
						if c.done == nil {
							continue
						}
						delete(m.Machine.cuts, num)
						if cycle(waits(t, c.done)) != 0 {
							dead = true
						} else {
							fine++
						}
					}
				}
				return nil
			},
		})
		if err == nil {
			err = w.Run(400)
		}
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.Trace(), "\n"))
		}
		switch really := deadInTheEnd(t, w); {
		case dead && !really:
			t.Fatalf("seed %d: a snapshot has a deadlock that is none", seed)
		case dead:
			found++
		case suspected && !really:
			phantoms++
		}
	}
	if found == 0 || phantoms == 0 || fine == 0 {
		t.Errorf("%d deadlocks found, %d snapshots without, %d phantoms of a poll", found, fine, phantoms)
	}
	t.Logf("%d deadlocks found, %d snapshots without, %d phantoms of a poll", found, fine, phantoms)
}

// deadInTheEnd lets all that is on its way arrive, and tells who still waits in a circle.
func deadInTheEnd(t *testing.T, w *world) bool {
	if err := w.Settle(); err != nil {
		t.Fatal(err)
	}
	edges := map[uint64]uint64{}
	for _, m := range w.Members() {
		edges[m.ID] = m.Machine.app.(*holder).For
	}
	return cycle(edges) != 0
}
