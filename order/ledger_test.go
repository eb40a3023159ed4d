package order

import (
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// chain is the whole order, as its makers made it.
type chain struct {
	next     []int // of record t, at t
	increase [][]uint64
	cut      [][]uint64
}

// drawChain draws a chain of records for a view of n members.
func drawChain(t *rapid.T, n, records int) chain {
	c := chain{next: []int{0}, increase: [][]uint64{nil}, cut: [][]uint64{make([]uint64, n)}}
	entry := rapid.Uint64Range(0, 3)
	for r := 1; r <= records; r++ {
		by, cut := make([]uint64, n), slices.Clone(c.cut[r-1])
		for k := range by {
			by[k] = entry.Draw(t, "increase")
			cut[k] += by[k]
		}
		c.next, c.increase, c.cut = append(c.next, rapid.IntRange(0, n-1).Draw(t, "next")), append(c.increase, by), append(c.cut, cut)
	}
	return c
}

// learn tells l of record t.
func (c chain) learn(l *Ledger, t uint64) bool {
	return l.Learn(t, c.next[t], func(cut []uint64) {
		for k, by := range c.increase[t] {
			cut[k] += by
		}
	})
}

// naiveLedger remembers what was learned and searches it at every question.
type naiveLedger struct {
	chain
	learned map[uint64]bool
	rcv     []uint64
	done    uint64
}

func (m *naiveLedger) known() (t uint64) {
	for m.learned[t+1] {
		t++
	}
	return t
}

func (m *naiveLedger) arrived() (t uint64) {
	for t < m.known() && Covers(m.rcv, m.cut[t+1]) {
		t++
	}
	return t
}

// check compares all that a Ledger can be asked.
func (m *naiveLedger) check(t *rapid.T, l *Ledger) {
	known := m.known()
	if l.Known() != known || l.Holder() != m.next[known] || !slices.Equal(l.Last(), m.cut[known]) {
		t.Fatalf("known %d, holder %d, cut %v; want %d, %d, %v", l.Known(), l.Holder(), l.Last(), known, m.next[known], m.cut[known])
	}
	if got, want := l.Arrived(m.rcv), m.arrived(); got != want {
		t.Fatalf("arrived %d, want %d", got, want)
	}
	at, cut, ok := l.Cut()
	if ok != (m.done < known) {
		t.Fatalf("there is a cut to deliver: %v, with %d of %d delivered", ok, m.done, known)
	}
	if ok && (at != m.done+1 || !slices.Equal(cut, m.cut[at])) {
		t.Fatalf("next is record %d with cut %v, want %d with %v", at, cut, m.done+1, m.cut[m.done+1])
	}
}

// TestLedgerAgainstNaive learns a chain in any order and repeatedly, while data
// arrives and records are carried out.
func TestLedgerAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, records := rapid.IntRange(1, 4).Draw(t, "n"), rapid.IntRange(1, 160).Draw(t, "records")
		m := &naiveLedger{chain: drawChain(t, n, records), learned: make(map[uint64]bool), rcv: make([]uint64, n)}
		l := NewLedger(n, uint64(records))
		reach := rapid.SampledFrom([]int{1, 3, 70, records}).Draw(t, "reach") // how far ahead of the chain records come
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				for k := range m.rcv {
					m.rcv[k] += rapid.Uint64Range(0, 20).Draw(t, "arrives")
				}
			case 1:
				for until := m.arrived(); m.done < until; m.done++ {
					l.Done()
				}
			default:
				for range rapid.IntRange(1, 20).Draw(t, "burst") {
					last := min(records, int(m.known())+reach)
					r := uint64(rapid.IntRange(max(1, last-reach-2), last).Draw(t, "record"))
					if !m.learn(l, r) {
						t.Fatalf("record %d was refused", r)
					}
					m.learned[r] = true
				}
			}
			m.check(t, l)
		}
		for r := range uint64(records) { // whatever is missing comes in the end
			m.learn(l, r+1)
			m.learned[r+1] = true
		}
		m.check(t, l)
		Raise(m.rcv, m.cut[records])
		for ; m.done < uint64(records); m.done++ { // and every record is carried out as it was made
			m.check(t, l)
			l.Done()
		}
		m.check(t, l)
		if len(l.far) > 0 {
			t.Fatalf("%d records are kept apart that are in the chain", len(l.far))
		}
	})
}

func TestLedgerOfANewView(t *testing.T) {
	l := NewLedger(3, 100)
	if l.Holder() != 0 || l.Known() != 0 || l.Arrived([]uint64{9, 9, 9}) != 0 {
		t.Errorf("holder %d, known %d", l.Holder(), l.Known())
	}
	if _, _, ok := l.Cut(); ok {
		t.Error("there is something to deliver")
	}
}

// TestLedgerRefusesTheFuture: a record further ahead than records can be pending
// is a lie, and must not cost memory.
func TestLedgerRefusesTheFuture(t *testing.T) {
	l := NewLedger(2, 10)
	none := func([]uint64) {}
	if !l.Learn(10, 0, none) {
		t.Error("record 10 was refused, with a limit of 10")
	}
	for _, far := range []uint64{11, 1 << 40, 1<<64 - 1} {
		if l.Learn(far, 0, none) {
			t.Errorf("record %d was taken, with a limit of 10", far)
		}
	}
	l.Learn(1, 0, none)
	l.Done()
	if !l.Learn(11, 0, none) {
		t.Error("record 11 was refused, with 1 delivered and a limit of 10")
	}
}

// TestFirstRecordStands: of two records with one number the first is kept,
// however far ahead of the chain it came.
func TestFirstRecordStands(t *testing.T) {
	const far = 500
	l := NewLedger(2, 1000)
	by := func(k int) func([]uint64) { return func(cut []uint64) { cut[k]++ } }
	for _, r := range []uint64{far, 2, 1} {
		l.Learn(r, 1, by(0))
		l.Learn(r, 0, by(1))
	}
	if l.Known() != 2 || l.Holder() != 1 || !slices.Equal(l.Last(), []uint64{2, 0}) {
		t.Errorf("known %d, holder %d, cut %v; want 2, 1, [2 0]", l.Known(), l.Holder(), l.Last())
	}
	for r := uint64(3); r < far; r++ {
		l.Learn(r, 0, by(0))
	}
	if l.Known() != far || l.Holder() != 1 || !slices.Equal(l.Last(), []uint64{far, 0}) {
		t.Errorf("known %d, holder %d, cut %v; want %d, 1, [%d 0]", l.Known(), l.Holder(), l.Last(), far, far)
	}
}

func TestLedgerDoesNotAllocate(t *testing.T) {
	l, r := NewLedger(3, 1000), uint64(0)
	add := func(cut []uint64) { cut[1]++ }
	rcv := []uint64{0, 1 << 40, 0}
	if allocs := testing.AllocsPerRun(1000, func() {
		r += 2
		l.Learn(r, 1, add) // with a hole before it
		l.Learn(r-1, 1, add)
		if l.Arrived(rcv) != r {
			t.Fatalf("arrived %d, want %d", l.Arrived(rcv), r)
		}
		for range 2 {
			l.Cut()
			l.Done()
		}
	}); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// TestCrowded: what continues the chain is near whatever is held, and once it is there, so
// is the rest.
func TestCrowded(t *testing.T) {
	l := NewLedger(2, 1<<20)
	none := func([]uint64) {}
	for r := uint64(1000); !l.Crowded(); r++ {
		if l.Near(r) || r > 1<<16 {
			t.Fatalf("record %d is near, or there is no bound", r)
		}
		l.Learn(r, 0, none)
	}
	if !l.Near(1) || !l.Near(60) || l.Near(900) {
		t.Error("of records 1, 60 and 900 the first two are near, and no other")
	}
	for r := uint64(1); r < 1000; r++ {
		l.Learn(r, 0, none)
	}
	if l.Crowded() || !l.Near(l.Known()+1) {
		t.Error("it is crowded with nothing missing")
	}
}

// TestFarRecordsCostTheirSize: memory is taken for the records that have come,
// not for as many as their numbers claim.
func TestFarRecordsCostTheirSize(t *testing.T) {
	const n, limit = 64, 64 * 8192
	l := NewLedger(n, limit)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for r := uint64(2); r <= limit; r += r / 2 {
		if !l.Learn(r, 0, func([]uint64) {}) {
			t.Fatalf("record %d was refused", r)
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<16 {
		t.Errorf("a few dozen records took %d bytes", took)
	}
}
