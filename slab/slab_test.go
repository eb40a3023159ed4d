package slab

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPoolAgainstNaive: memory is given to one holder at a time, and counted.
func TestPoolAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPool()
		refs := make(map[Ref]int)
		var held []Ref // one entry per reference
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			what := rapid.IntRange(0, 3).Draw(t, "what")
			if len(held) == 0 {
				what = 0
			}
			i := 0
			if what > 0 {
				i = rapid.IntRange(0, len(held)-1).Draw(t, "which")
			}
			switch what {
			case 0:
				r := p.Get()
				if r == 0 || refs[r] > 0 || len(p.Bytes(r)) != Size {
					t.Fatalf("got slab %d of %d bytes, which has %d references", r, len(p.Bytes(r)), refs[r])
				}
				refs[r], held = 1, append(held, r)
				p.Bytes(r)[0] = byte(r)
			case 1:
				p.Retain(held[i])
				refs[held[i]]++
				held = append(held, held[i])
			default:
				r := held[i]
				p.Release(r)
				if refs[r]--; refs[r] == 0 {
					delete(refs, r)
				}
				held = append(held[:i], held[i+1:]...)
			}
			if p.Live() != len(refs) {
				t.Fatalf("%d slabs live, want %d", p.Live(), len(refs))
			}
			for r, n := range refs {
				if p.Shared(r) != (n > 1) || p.Bytes(r)[0] != byte(r) {
					t.Fatalf("slab %d with %d references: shared %v, begins with %d", r, n, p.Shared(r), p.Bytes(r)[0])
				}
			}
		}
	})
}

func TestFreedSlabsAreUsedAgainWarmestFirst(t *testing.T) {
	p := NewPool()
	a, b := p.Get(), p.Get()
	p.Release(a)
	p.Release(b)
	if c, d := p.Get(), p.Get(); c != b || d != a {
		t.Errorf("got %d and %d, want %d and %d", c, d, b, a)
	}
}

// TestPinnedMemoryIsNotUsedAgain: what the application keeps must never change.
func TestPinnedMemoryIsNotUsedAgain(t *testing.T) {
	p := NewPool()
	r := p.Get()
	kept := p.Bytes(r)[:4]
	copy(kept, "keep")
	p.Pin(r)
	p.Release(r)
	if p.Live() != 0 {
		t.Errorf("%d slabs live, want 0: pinned memory is the collector's", p.Live())
	}
	for range 3 {
		clear(p.Bytes(p.Get()))
	}
	if string(kept) != "keep" {
		t.Errorf("kept memory now holds %q", kept)
	}
}

// TestPinLastsOnce: the slab that takes the place of a pinned one is an ordinary one.
func TestPinLastsOnce(t *testing.T) {
	p := NewPool()
	r := p.Get()
	p.Pin(r)
	p.Release(r)
	again := p.Get()
	mem := &p.Bytes(again)[0]
	p.Release(again)
	if p.Get() != again || &p.Bytes(again)[0] != mem {
		t.Error("memory that was never pinned was not used again")
	}
}

func TestReleasingTooOftenPanics(t *testing.T) {
	p := NewPool()
	r := p.Get()
	p.Release(r)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.Release(r)
}

func TestSteadyUseDoesNotAllocate(t *testing.T) {
	p := NewPool()
	p.Release(p.Get())
	if allocs := testing.AllocsPerRun(100, func() {
		r := p.Get()
		p.Retain(r)
		p.Release(r)
		p.Release(r)
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
