package order

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naiveRows computes everything from the whole matrix at every question.
type naiveRows struct {
	rcv [][]uint64
	ord []uint64
}

// reached returns the largest value that at least k of the column reach.
func reached(column []uint64, k int) uint64 {
	v := slices.Clone(column)
	slices.Sort(v)
	return v[len(v)-k]
}

func (r naiveRows) quorum(l Level) int {
	if l.IsSafeAll() {
		return len(r.ord)
	}
	return len(r.ord)/2 + 1
}

func (r naiveRows) covered(l Level, s int) uint64 {
	var column []uint64
	for _, row := range r.rcv {
		column = append(column, row[s])
	}
	return reached(column, r.quorum(l))
}

func TestRowsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(1, 9), rapid.Just(64)).Draw(t, "n")
		rows, naive := NewRows(n), naiveRows{ord: make([]uint64, n)}
		for range n {
			naive.rcv = append(naive.rcv, make([]uint64, n))
		}
		rank := rapid.IntRange(0, n-1)
		seq := rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64())
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			for range rapid.IntRange(0, 8).Draw(t, "changes") {
				m, s, x := rank.Draw(t, "member"), rank.Draw(t, "sender"), seq.Draw(t, "seq")
				if rapid.Bool().Draw(t, "ord") {
					rows.CanOrder(m, x)
					naive.ord[m] = max(naive.ord[m], x)
				} else {
					rows.Have(m, s, x)
					naive.rcv[m][s] = max(naive.rcv[m][s], x)
				}
			}
			rows.Settle()
			naive.check(t, rows)
		}
	})
}

func (r naiveRows) check(t *rapid.T, rows *Rows) {
	for m := range r.ord {
		if !slices.Equal(rows.Rcv(m), r.rcv[m]) || rows.Ord(m) != r.ord[m] {
			t.Fatalf("row %d is %v %d, want %v %d", m, rows.Rcv(m), rows.Ord(m), r.rcv[m], r.ord[m])
		}
		if got, want := rows.Stable(m), r.covered(FIFO.SafeAll(), m); got != want {
			t.Fatalf("packets of %d are stable up to %d, want %d", m, got, want)
		}
	}
	for _, l := range []Level{FIFO.Safe(), Total.SafeAll()} {
		all := make([]uint64, len(r.ord))
		for s := range all {
			if all[s] = r.covered(l, s); rows.Covered(l, s) != all[s] {
				t.Fatalf("%v: packets of %d are covered up to %d, want %d", l, s, rows.Covered(l, s), all[s])
			}
		}
		if !rows.CoversVector(l, all) {
			t.Fatalf("%v: %v is not covered", l, all)
		}
		s := rapid.IntRange(0, len(all)-1).Draw(t, "beyond")
		if all[s]++; all[s] > 0 && rows.CoversVector(l, all) {
			t.Fatalf("%v: %v is covered", l, all)
		}
		if got, want := rows.OrdCovered(l), reached(r.ord, r.quorum(l)); got != want {
			t.Fatalf("%v: records are covered up to %d, want %d", l, got, want)
		}
	}
}

// TestRowsMergeInAnyOrder: rows that are lost, repeated or late do no harm.
func TestRowsMergeInAnyOrder(t *testing.T) {
	a, b := NewRows(3), NewRows(3)
	for seq := range uint64(10) {
		a.Have(1, 2, seq)
		b.Have(1, 2, 9-seq)
		b.Have(1, 2, 9-seq)
	}
	a.Settle()
	b.Settle()
	if !slices.Equal(a.Rcv(1), b.Rcv(1)) || a.Rcv(1)[2] != 9 {
		t.Errorf("in order %v, reversed %v", a.Rcv(1), b.Rcv(1))
	}
}

func TestRowsDoNotAllocate(t *testing.T) {
	rows, seq := NewRows(5), uint64(0)
	if allocs := testing.AllocsPerRun(100, func() {
		seq++
		for m := range 5 {
			rows.Have(m, m, seq)
			rows.CanOrder(m, seq)
		}
		rows.Settle()
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
