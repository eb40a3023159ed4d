package order

// Ledger is the total order as one member knows it: a chain of ordering records,
// each the cut of every sender's stream up to which total-order packets come
// next, sender by sender in rank order, and the rank that may append the next
// record. That right is the token of Totem (Amir et al., 1995); unlike there,
// data does not wait for it: only its order does.
type Ledger struct {
	n      int
	limit  uint64   // how far ahead of the chain a record may be
	known  uint64   // records 1..known are held, without a hole
	holder int      // may append record known+1
	last   []uint64 // cut of record known

	slots []slot               // by T modulo their number: records in (done, known], and later ones that await a hole's repair
	cuts  []uint64             // one vector per slot: the cut up to known, the increase beyond it
	far   map[uint64]farRecord // later ones that find no slot

	ord  uint64 // records 1..ord: everything they order has arrived here
	done uint64 // records 1..done have been delivered
}

type slot struct {
	t    uint64
	next int
}

// farRecord is a record that takes memory of its own: how many slots there are
// follows from the chain, not from the largest number that somebody claims.
type farRecord struct {
	next     int
	increase []uint64
}

// NewLedger returns the empty order of a view of n members: rank 0, the oldest,
// holds the token. limit bounds how many records may be pending.
func NewLedger(n int, limit uint64) *Ledger {
	const start = 64
	return &Ledger{n: n, limit: limit, last: make([]uint64, n), slots: make([]slot, start), cuts: make([]uint64, start*n)}
}

// Holder returns the rank that may append the next record, as far as known.
func (l *Ledger) Holder() int { return l.holder }

// Known returns the number of the last record of the chain without a hole.
func (l *Ledger) Known() uint64 { return l.known }

// Last returns the cut of record Known. Borrowed, not to be written.
func (l *Ledger) Last() []uint64 { return l.last }

// Learn adds record t, which raises the cut of record t-1 by deltas and passes
// the token to next. Records may be learned in any order and more than once. It
// returns false for a record too far ahead of the chain to be true.
func (l *Ledger) Learn(t uint64, next int, add func(cut []uint64)) bool {
	if t <= l.known {
		return true
	}
	if t > l.done+l.limit {
		return false
	}
	if _, held := l.far[t]; held {
		return true
	}
	if t > l.known+1 && t-l.done >= uint64(len(l.slots)) {
		r := farRecord{next, make([]uint64, l.n)}
		add(r.increase)
		l.keepFar(t, r)
		return true
	}
	if increase, fresh := l.place(t, next); fresh {
		add(increase)
		l.extend()
	}
	return true
}

// maxFar is how many records that find no slot are enough: the limit is for the most that
// there can be in a view, which honest members come nowhere near.
const maxFar = 4096

// Crowded tells whether so many records are held that only one that is Near is to be
// learned now.
func (l *Ledger) Crowded() bool { return len(l.far) >= maxFar }

// Near tells whether record t continues the chain, or has a slot.
func (l *Ledger) Near(t uint64) bool { return t <= l.known+1 || t-l.done < uint64(len(l.slots)) }

func (l *Ledger) keepFar(t uint64, r farRecord) {
	if l.far == nil {
		l.far = make(map[uint64]farRecord)
	}
	l.far[t] = r
}

// place gives record t a slot and returns its vector, of zeros; fresh is false
// if it has one already.
func (l *Ledger) place(t uint64, next int) (increase []uint64, fresh bool) {
	for t-l.done >= uint64(len(l.slots)) {
		l.grow()
	}
	i := t % uint64(len(l.slots))
	if l.slots[i].t == t {
		return nil, false
	}
	l.slots[i] = slot{t, next}
	increase = l.vector(i)
	clear(increase)
	return increase, true
}

// extend moves known over the records that follow it without a hole.
func (l *Ledger) extend() {
	for {
		if r, ok := l.far[l.known+1]; ok {
			increase, _ := l.place(l.known+1, r.next)
			copy(increase, r.increase)
			delete(l.far, l.known+1)
		}
		i := (l.known + 1) % uint64(len(l.slots))
		if l.slots[i].t != l.known+1 {
			return
		}
		cut := l.vector(i)
		for k := range cut {
			cut[k] += l.last[k]
		}
		copy(l.last, cut)
		l.known++
		l.holder = l.slots[i].next
	}
}

func (l *Ledger) grow() {
	old, oldCuts := l.slots, l.cuts
	l.slots, l.cuts = make([]slot, 2*len(old)), make([]uint64, 2*len(oldCuts))
	for i, s := range old {
		if s.t > l.done {
			j := s.t % uint64(len(l.slots))
			l.slots[j] = s
			copy(l.vector(j), oldCuts[i*l.n:(i+1)*l.n])
		}
	}
}

func (l *Ledger) vector(i uint64) []uint64 { return l.cuts[int(i)*l.n : (int(i)+1)*l.n] }

// Arrived returns the last record up to which this member, which has received
// rcv of every sender, can carry out the order.
func (l *Ledger) Arrived(rcv []uint64) uint64 {
	for l.ord < l.known && Covers(rcv, l.cut(l.ord+1)) {
		l.ord++
	}
	return l.ord
}

// Cut returns the cut of the record to be delivered next, borrowed until Done;
// ok is false if it is not known yet.
func (l *Ledger) Cut() (t uint64, cut []uint64, ok bool) {
	if l.done == l.known {
		return 0, nil, false
	}
	return l.done + 1, l.cut(l.done + 1), true
}

func (l *Ledger) cut(t uint64) []uint64 { return l.vector(t % uint64(len(l.slots))) }

// Done notes that all that record Cut orders has been delivered, and so has arrived.
func (l *Ledger) Done() {
	l.done++
	l.ord = max(l.ord, l.done)
}
