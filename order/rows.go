package order

import "math/bits"

// Rows is the matrix of what each member is known to have: a row per member,
// with the highest contiguous packet of every sender, and the last ordering
// record that the member can carry out. Rows only grow and are merged by
// maximum, so that lost, repeated and late ones do no harm. Stability and safe
// delivery are read off it: there is no second phase to send.
//
// The matrix clock is Wuu & Bernstein's (1984); its use for stability is that of
// Transis and Horus.
type Rows struct {
	n, majority int
	rcv         []uint64 // [member*n + sender]
	ord         []uint64 // [member]
	stable      []uint64 // per sender: every member has it
	major       []uint64 // per sender: a majority has it
	ordStable   uint64
	ordMajor    uint64
	dirty       uint64 // bit per sender whose column has grown
	ordDirty    bool
	scratch     []uint64
}

// NewRows returns the rows of a view of n members, up to 64, none of which has
// anything.
func NewRows(n int) *Rows {
	return &Rows{
		n: n, majority: n/2 + 1,
		rcv: make([]uint64, n*n), ord: make([]uint64, n),
		stable: make([]uint64, n), major: make([]uint64, n), scratch: make([]uint64, n),
	}
}

// Have notes that member has all packets of sender up to seq.
func (r *Rows) Have(member, sender int, seq uint64) {
	if at := member*r.n + sender; seq > r.rcv[at] {
		r.rcv[at] = seq
		r.dirty |= 1 << sender
	}
}

// CanOrder notes that member holds all records up to t and all that they order.
func (r *Rows) CanOrder(member int, t uint64) {
	if t > r.ord[member] {
		r.ord[member] = t
		r.ordDirty = true
	}
}

// Rcv returns member's row: per sender the highest contiguous packet. Borrowed,
// not to be written.
func (r *Rows) Rcv(member int) []uint64 { return r.rcv[member*r.n : (member+1)*r.n] }

// Ord returns the last record that member is known to be able to carry out.
func (r *Rows) Ord(member int) uint64 { return r.ord[member] }

// Settle brings Stable, Covered and OrdCovered up to date.
func (r *Rows) Settle() {
	for ; r.dirty != 0; r.dirty &= r.dirty - 1 {
		s := bits.TrailingZeros64(r.dirty)
		for m := range r.n {
			r.scratch[m] = r.rcv[m*r.n+s]
		}
		r.stable[s], r.major[s] = r.quorums()
	}
	if r.ordDirty {
		copy(r.scratch, r.ord)
		r.ordStable, r.ordMajor = r.quorums()
		r.ordDirty = false
	}
}

// quorums sorts scratch and returns its smallest value and the largest that a
// majority reaches. Insertion sort: few values, nearly sorted.
func (r *Rows) quorums() (all, majority uint64) {
	v := r.scratch
	for i := 1; i < len(v); i++ {
		for j := i; j > 0 && v[j] < v[j-1]; j-- {
			v[j], v[j-1] = v[j-1], v[j]
		}
	}
	return v[0], v[r.n-r.majority]
}

// Stable returns the packet of sender up to which every member has all: nobody
// will ask for those again.
func (r *Rows) Stable(sender int) uint64 { return r.stable[sender] }

// Covered returns the packet of sender up to which as many members have all as
// the safe part of level l asks for: a majority, or every one.
func (r *Rows) Covered(l Level, sender int) uint64 {
	if l.IsSafeAll() {
		return r.stable[sender]
	}
	return r.major[sender]
}

// CoversVector tells whether Covered reaches v for every sender.
func (r *Rows) CoversVector(l Level, v []uint64) bool {
	covered := r.major
	if l.IsSafeAll() {
		covered = r.stable
	}
	return Covers(covered, v)
}

// OrdCovered returns the record up to which as many members can carry out the
// order as the safe part of level l asks for.
func (r *Rows) OrdCovered(l Level) uint64 {
	if l.IsSafeAll() {
		return r.ordStable
	}
	return r.ordMajor
}
