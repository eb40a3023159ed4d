package churn

import (
	"slices"

	"cohort/internal/flaw"
)

// Shrink leaves out operations of a failing scenario, and simplifies its network,
// as long as it breaks the same property, in at most most runs. A scenario that
// does not fail is returned as it is.
func Shrink(s Scenario, flaws flaw.Set, most int) Scenario {
	first := Run(s, flaws, nil).Violation
	if first == nil {
		return s
	}
	fails := func(t Scenario) bool {
		most--
		v := Run(t, flaws, nil).Violation
		return v != nil && v.Property == first.Property
	}
	for size := len(s.Ops); size > 0 && most > 0; size /= 2 {
		for at := 0; at < len(s.Ops) && most > 0; {
			t := s
			t.Ops = slices.Delete(slices.Clone(s.Ops), at, min(at+size, len(s.Ops)))
			if fails(t) {
				s = t
			} else {
				at += size
			}
		}
	}
	for _, simpler := range []func(t *Scenario){
		func(t *Scenario) { t.Loss = 0 }, func(t *Scenario) { t.Dup = 0 }, func(t *Scenario) { t.Jitter = 0 },
	} {
		t := s
		if simpler(&t); most > 0 && fails(t) {
			s = t
		}
	}
	return s
}
