package ring

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func TestMark(t *testing.T) {
	r := NewMPSC(256)
	var m Mark
	if m.Set() || m.Before(0) || m.Before(1<<40) {
		t.Error("a mark of nothing comes before something")
	}
	fill(r)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.PushAt(gone, context.Background(), 1, nil, &m); err == nil || m.Set() || m.Before(1<<40) {
		t.Errorf("a push that failed (%v) left a mark", err)
	}
	consume(r, 4)
	before, _ := r.TryPushAt(1, nil)
	at, err := r.PushAt(t.Context(), context.Background(), 1, nil, &m)
	must(t, err, nil)
	after, _ := r.TryPushAt(1, nil)
	m.SetAll() // it has a place
	if !m.Set() || m.Before(before) || m.Before(at) || !m.Before(after) {
		t.Errorf("mark at %d: before %d: %v, before %d: %v", at, before, m.Before(before), after, m.Before(after))
	}
	var all Mark
	if all.SetAll(); !all.Set() || !all.Before(0) {
		t.Error("something does not come after a mark before all")
	}
}

// TestMarkAmongProducers: each of those who push beside a marked record learns on which
// side of it theirs is, as the consumer sees it.
func TestMarkAmongProducers(t *testing.T) {
	const producers, marked = 3, 1 << 20
	for range 300 {
		r := NewMPSC(512) // full now and then: producers wait, the marked one too
		var m Mark
		var wg sync.WaitGroup
		var early [producers][]uint64 // what each took for being before the mark
		for p := range producers {
			wg.Go(func() {
				for k := range uint64(40) {
					meta := uint64(p)<<8 | k
					pos, err := r.PushAt(patient(t), context.Background(), meta, nil, nil)
					if err != nil {
						t.Error(err)
					}
					if m.Before(pos) {
						continue
					}
					early[p] = append(early[p], meta)
				}
			})
		}
		wg.Go(func() {
			runtime.Gosched()
			if _, err := r.PushAt(patient(t), context.Background(), marked, nil, &m); err != nil {
				t.Error(err)
			}
		})
		var seen []uint64
		for count, met := 0, false; count < producers*40+1; count++ {
			for r.Empty() {
				runtime.Gosched()
			}
			meta, _, _ := r.Peek()
			if met = met || meta == marked; !met {
				seen = append(seen, meta)
			}
			r.Next()
			r.Release()
		}
		wg.Wait()
		got := slices.Concat(early[:]...)
		slices.Sort(got)
		if slices.Sort(seen); !slices.Equal(got, seen) {
			t.Fatalf("producers take %x for pushed before the mark, the consumer saw %x", got, seen)
		}
	}
}
