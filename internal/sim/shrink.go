package sim

import (
	"reflect"

	"cohort/internal/flaw"
)

// Shrink looks for the smallest scenario that still fails, by trying ever
// smaller ones for at most runs runs: fewer operations (Zeller & Hildebrandt's
// delta debugging, 2002), fewer members, fewer faults, smaller messages.
func Shrink(s Scenario, runs int, fails func(Scenario) bool) Scenario {
	try := func(smaller Scenario) bool {
		if runs <= 0 || !fails(smaller) {
			return false
		}
		s = smaller
		return true
	}
	for smaller := true; smaller && runs > 0; {
		smaller = false
		count := func(c Scenario) bool {
			runs--
			ok := try(c)
			smaller = smaller || ok
			return ok
		}
		fewerOps(&s, count)
		for s.Members > 2 && count(s.without(s.Members-1)) {
		}
		fewerFaults(s, count)
		simplerOps(&s, count)
	}
	return s
}

// fewerOps leaves out runs of operations, long ones first.
func fewerOps(s *Scenario, try func(Scenario) bool) {
	for size := len(s.Ops); size > 0; size /= 2 {
		for at := 0; at < len(s.Ops); {
			c := *s
			c.Ops = append(append([]Op(nil), s.Ops[:at]...), s.Ops[min(at+size, len(s.Ops)):]...)
			if !try(c) {
				at += size
			}
		}
	}
}

// without is the scenario without its member of the highest rank, whose
// operations go to the one before.
func (s Scenario) without(rank int) Scenario {
	var ops []Op
	for _, op := range s.Ops {
		op.Member, op.Peer = min(op.Member, rank-1), min(op.Peer, rank-1)
		if op.Kind != Cut || op.Peer != op.Member {
			ops = append(ops, op)
		}
	}
	s.Members, s.Ops = rank, ops
	return s
}

func fewerFaults(s Scenario, try func(Scenario) bool) {
	for _, change := range []func(*Scenario){
		func(s *Scenario) { s.Loss = 0 },
		func(s *Scenario) { s.Dup = 0 },
		func(s *Scenario) { s.Corrupt = 0 },
		func(s *Scenario) { s.Local = false },
		func(s *Scenario) { s.Reorder = false },
		func(s *Scenario) { s.Jitter = 0 },
		func(s *Scenario) { s.Uneven = 0 },
		func(s *Scenario) { s.Nap = 0 },
		func(s *Scenario) { s.Take = 0 },
		func(s *Scenario) { s.OwnSlab = false },
		func(s *Scenario) { s.Batch, s.Deliver = 1024, 1<<20 },
	} {
		c := s
		change(&c)
		if !reflect.DeepEqual(c, s) && try(c) {
			s = c
		}
	}
}

// simplerOps makes each operation smaller.
func simplerOps(s *Scenario, try func(Scenario) bool) {
	for i := range s.Ops {
		for _, change := range []func(*Op){
			func(op *Op) { op.Count = min(op.Count, 1) },
			func(op *Op) { op.Count /= 2 },
			func(op *Op) { op.Count-- },
			func(op *Op) { op.Chain = 0 },
			func(op *Op) { op.Chain /= 2 },
			func(op *Op) { op.Size = min(op.Size, 8) },
			func(op *Op) { op.Size /= 2 },
			func(op *Op) { op.For /= 2 },
			func(op *Op) { op.Abort = false },
		} {
			c := *s
			c.Ops = append([]Op(nil), s.Ops...)
			change(&c.Ops[i])
			if c.Ops[i] != s.Ops[i] && (c.Ops[i].Count > 0 || c.Ops[i].Kind != Send) {
				try(c)
			}
		}
	}
}

// ShrinkViolation shrinks a scenario as long as it violates the same property,
// in at most runs runs. A scenario that violates none stays as it is.
func ShrinkViolation(s Scenario, flaws flaw.Set, runs int) Scenario {
	first := Run(s, flaws, nil).Violation
	if first == nil {
		return s
	}
	return Shrink(s, runs, func(c Scenario) bool {
		v := Run(c, flaws, nil).Violation
		return v != nil && v.Property == first.Property
	})
}
