package order

import (
	"strings"
	"testing"
)

var levels = []Level{
	FIFO, Causal, Total, FIFO.Safe(), Causal.Safe(), Total.Safe(), FIFO.SafeAll(), Causal.SafeAll(), Total.SafeAll(),
}

func TestLevelsAreNine(t *testing.T) {
	var valid []Level
	for l := range 256 {
		if Level(l).Valid() {
			valid = append(valid, Level(l))
		}
	}
	if len(valid) != len(levels) {
		t.Errorf("valid levels are %v, want %v", valid, levels)
	}
	for _, l := range levels {
		if !l.Valid() {
			t.Errorf("%d is not valid", l)
		}
	}
}

func TestLevelNames(t *testing.T) {
	names := make(map[string]bool)
	for _, l := range levels {
		got, err := Parse(l.String())
		if err != nil || got != l {
			t.Errorf("Parse(%q) = %v, %v", l.String(), got, err)
		}
		names[l.String()] = true
	}
	if len(names) != len(levels) {
		t.Errorf("%d names for %d levels: %v", len(names), len(levels), names)
	}
	if l, err := Parse("gbcast"); err != nil || l != Total.Safe() {
		t.Errorf("gbcast is %v, %v; want %v", l, err, Total.Safe())
	}
	for _, bad := range []string{"", "fifo", "ABCAST", "safe-", "safe-gbcast", "safe-safe-abcast", "Level(3)"} {
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) || !strings.Contains(err.Error(), "want fbcast") {
			t.Errorf("Parse(%q): %v, want an error that names it and what is expected", bad, err)
		}
	}
	if got := Level(3).String(); got != "Level(3)" {
		t.Errorf("a level that does not exist is called %q", got)
	}
}

// promises is what a level promises, the order spelled out as a chain.
func promises(l Level) (p [4]bool) {
	return [4]bool{l.Order() >= Causal, l.Order() == Total, l.IsSafe(), l.IsSafeAll()}
}

// TestJoinIsASemilattice: a packet's level must not depend on the order of its
// messages, nor on how often a level occurs, and must be the least upper bound.
func TestJoinIsASemilattice(t *testing.T) {
	for _, a := range levels {
		if a.Join(a) != a || a.Join(FIFO) != a {
			t.Errorf("%v joined with itself is %v, with FIFO %v", a, a.Join(a), a.Join(FIFO))
		}
		for _, b := range levels {
			ab := a.Join(b)
			if ab != b.Join(a) {
				t.Errorf("%v and %v join to %v, or to %v", a, b, ab, b.Join(a))
			}
			if !ab.Valid() {
				t.Errorf("%v and %v join to %v", a, b, ab)
			}
			pa, pb, pab := promises(a), promises(b), promises(ab)
			for i := range pab {
				if pab[i] != (pa[i] || pb[i]) {
					t.Errorf("%v and %v join to %v, which promises %v", a, b, ab, pab)
				}
			}
			for _, c := range levels {
				if ab.Join(c) != a.Join(b.Join(c)) {
					t.Errorf("joining %v, %v, %v depends on where one begins", a, b, c)
				}
			}
		}
	}
}

func TestSafeChangesOnlySafety(t *testing.T) {
	for _, l := range levels {
		for _, s := range []Level{l.Safe(), l.SafeAll()} {
			if s.Order() != l.Order() || !s.IsSafe() || !s.Valid() {
				t.Errorf("%v made safe is %v", l, s)
			}
		}
		if l.Safe().IsSafeAll() || !l.SafeAll().IsSafeAll() {
			t.Errorf("of %v, Safe is %v and SafeAll %v", l, l.Safe(), l.SafeAll())
		}
	}
}
