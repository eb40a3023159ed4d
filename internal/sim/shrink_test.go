package sim

import (
	"strings"
	"testing"

	"cohort/internal/flaw"
)

// TestShrink shrinks a run of a broken protocol to something that can be read.
func TestShrink(t *testing.T) {
	for seed := uint64(firstSeed); ; seed++ {
		s := Generate(seed)
		v := Run(s, flaw.SafeTooEarly, nil).Violation
		if v == nil || len(s.Ops) < 20 {
			continue
		}
		small := ShrinkViolation(s, flaw.SafeTooEarly, 500)
		after := Run(small, flaw.SafeTooEarly, nil).Violation
		if after == nil || after.Property != v.Property {
			t.Fatalf("seed %d broke %s; shrunk it gives %v", seed, v.Property, after)
		}
		if len(small.Ops) != 1 || small.Members != 2 || small.Loss+small.Dup+small.Corrupt > 0 {
			t.Errorf("one message in a view of two would do:\n%v", small)
		}
		if text := small.String(); strings.Count(text, "\n") != 3 {
			t.Errorf("want two lines of settings and one of operations:\n%s", text)
		}
		return
	}
}

// TestShrinkKeepsWhatFails checks that the shrinker never returns a scenario that
// does not fail, whatever it is that makes it fail.
func TestShrinkKeepsWhatFails(t *testing.T) {
	s := Generate(3)
	sends := func(s Scenario) (n int) {
		for _, op := range s.Ops {
			if op.Kind == Send {
				n += op.Count
			}
		}
		return n
	}
	small := Shrink(s, 1000, func(c Scenario) bool { return sends(c) >= 3 && c.Members >= 2 })
	if sends(small) != 3 {
		t.Errorf("%d messages are left, want 3:\n%v", sends(small), small)
	}
	if same := Shrink(s, 0, func(Scenario) bool { return true }); len(same.Ops) != len(s.Ops) {
		t.Errorf("shrunk without a run")
	}
}
