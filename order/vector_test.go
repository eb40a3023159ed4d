package order

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		v, w []uint64
		want bool
	}{
		{[]uint64{1, 2}, []uint64{1, 2}, true},
		{[]uint64{1, 3}, []uint64{1, 2}, true},
		{[]uint64{0, 3}, []uint64{1, 2}, false},
		{[]uint64{1, 1}, []uint64{1, 2}, false},
		{nil, nil, true},
	} {
		if got := Covers(c.v, c.w); got != c.want {
			t.Errorf("%v covers %v: %v", c.v, c.w, got)
		}
	}
}

// TestRaise: the result is the least vector that covers both.
func TestRaise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "n")
		vector := rapid.SliceOfN(rapid.Uint64Range(0, 9), n, n)
		v, w := vector.Draw(t, "v"), vector.Draw(t, "w")
		got := slices.Clone(v)
		Raise(got, w)
		if !Covers(got, v) || !Covers(got, w) {
			t.Fatalf("%v raised by %v is %v, which does not cover both", v, w, got)
		}
		for k := range got {
			if got[k] != v[k] && got[k] != w[k] {
				t.Fatalf("%v raised by %v is %v: entry %d is from neither", v, w, got, k)
			}
		}
	})
}
