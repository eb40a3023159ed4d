package order

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNextHolder(t *testing.T) {
	for _, c := range []struct {
		story       string
		self        int
		cut, totals []uint64
		want        int
	}{
		{"a lone sender keeps it", 1, []uint64{0, 4, 0}, []uint64{0, 9, 0}, 1},
		{"one that orders another's data gives it to that one", 0, []uint64{0, 0, 0}, []uint64{0, 0, 3}, 2},
		{"two senders take turns", 0, []uint64{5, 5, 0}, []uint64{6, 6, 0}, 1},
		{"and back, round the ring", 1, []uint64{6, 6, 0}, []uint64{7, 7, 0}, 0},
		{"past members with nothing to send", 2, []uint64{1, 1, 1, 1, 1}, []uint64{1, 2, 2, 1, 1}, 1},
		{"with nothing to order it stays", 2, []uint64{3, 3, 3}, []uint64{3, 3, 3}, 2},
		{"alone in the view", 0, []uint64{0}, []uint64{1}, 0},
	} {
		if got := NextHolder(c.self, c.cut, c.totals); got != c.want {
			t.Errorf("%s: rank %d, want %d", c.story, got, c.want)
		}
	}
}

// TestTokenVisitsEverySender: while the same members go on sending, each of them
// holds the token once in as many records as there are senders, and nobody else does.
func TestTokenVisitsEverySender(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 64).Draw(t, "n")
		cut, totals := make([]uint64, n), make([]uint64, n)
		senders := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, n, rapid.ID).Draw(t, "senders")
		for _, s := range senders {
			totals[s] = 1
		}
		holder := rapid.IntRange(0, n-1).Draw(t, "holder")
		var held []int
		for range senders {
			holder = NextHolder(holder, cut, totals)
			held = append(held, holder)
		}
		slices.Sort(held)
		slices.Sort(senders)
		if !slices.Equal(held, senders) {
			t.Fatalf("holders %v, senders %v", held, senders)
		}
	})
}
