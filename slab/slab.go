// Package slab holds packet memory: fixed blocks without pointers, counted by
// reference, kept for reuse. One buffer allocated per train costs a factor of
// four in throughput, so nothing on the hot path allocates.
package slab

// Size is the bytes of one slab: the largest train that the kernel carries.
const Size = 1 << 16

// Ref names a slab of one Pool. The zero Ref is no slab.
type Ref uint32

// Pool owns slabs. It belongs to one loop: its methods must not be called
// concurrently.
type Pool struct {
	slabs []block
	free  []Ref // last freed first: still warm in the cache
	live  int
	more  func() []byte
	chunk []byte // got from more and not cut into slabs yet
}

type block struct {
	mem    []byte
	refs   int32
	pinned bool // memory escaped to the application: never reuse it
}

// NewPool returns an empty pool.
func NewPool() *Pool {
	return NewPoolOf(func() []byte { return make([]byte, Size) })
}

// NewPoolOf returns an empty pool that takes its memory from more: each time a
// positive multiple of Size bytes, for the pool to keep.
func NewPoolOf(more func() []byte) *Pool { return &Pool{slabs: make([]block, 1), more: more} }

// Get returns a slab with one reference. Its contents are undefined.
func (p *Pool) Get() Ref {
	p.live++
	if n := len(p.free); n > 0 {
		r := p.free[n-1]
		p.free = p.free[:n-1]
		b := &p.slabs[r]
		b.refs = 1
		if b.pinned {
			b.mem, b.pinned = make([]byte, Size), false
		}
		return r
	}
	if len(p.chunk) == 0 {
		p.chunk = p.more()
	}
	p.slabs = append(p.slabs, block{mem: p.chunk[:Size:Size], refs: 1})
	p.chunk = p.chunk[Size:]
	return Ref(len(p.slabs) - 1)
}

// Bytes returns the slab's memory, Size bytes, valid while a reference is held.
func (p *Pool) Bytes(r Ref) []byte { return p.slabs[r].mem }

// Retain adds a reference.
func (p *Pool) Retain(r Ref) { p.slabs[r].refs++ }

// Release drops a reference; the last one makes the slab free.
func (p *Pool) Release(r Ref) {
	b := &p.slabs[r]
	b.refs--
	switch {
	case b.refs == 0:
		p.live--
		p.free = append(p.free, r)
	case b.refs < 0:
		panic("slab: released more often than retained")
	}
}

// Shared tells whether anyone but the caller holds the slab.
func (p *Pool) Shared(r Ref) bool { return p.slabs[r].refs > 1 }

// Pin gives the slab's memory to the garbage collector once the last reference
// is released: slices of it may then be kept for ever.
func (p *Pool) Pin(r Ref) {
	p.slabs[r].pinned = true
}

// Live returns how many slabs are referenced; times Size it is the memory in use.
func (p *Pool) Live() int { return p.live }
