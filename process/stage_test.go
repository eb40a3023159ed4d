package process

import (
	"slices"
	"testing"
)

// passed checks that a process has been in these stages, in this order, whatever
// others were between.
func (a *peer) passed(want ...Stage) {
	a.w.t.Helper()
	rest := want
	for _, s := range a.stages {
		if len(rest) > 0 && s == rest[0] {
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		a.w.t.Errorf("%s was %v, want %v", a.name, a.stages, want)
	}
}

// TestStages: a ring forms, a third process joins, and is left alone.
func TestStages(t *testing.T) {
	w := newWorld(t)
	w.startAll(2, configOf(2))
	w.want("ab")
	c := w.start(configOf(2))
	w.want("abc")
	w.peers[0].passed(Seeking, Founding, Inside, Ending, Inside)
	w.peers[1].passed(Seeking, Invited, Inside, Ending, Inside)
	c.passed(Seeking, Asking, Inside)
	c.stages = nil
	w.peers[0].die()
	w.peers[1].die()
	w.until("it is blocked", c.Blocked)
	w.pass(10 * ms)
	c.passed(Blocked)
	if s, peer := c.Stage(); s != Blocked || peer != 0 {
		t.Errorf("%v with %d, want blocked with nobody", s, peer)
	}
}

// TestStagesOfAMerger: the members of the lesser ring ask, are out, and ask to be let in.
func TestStagesOfAMerger(t *testing.T) {
	w := newWorld(t)
	w.startAll(3, configOf(0))
	w.deaf = func(from, to *peer) bool { return (from.name == "c") != (to.name == "c") }
	w.until("two rings", func() bool {
		return w.peers[0].members() == "ab" && w.peers[1].members() == "ab" && w.peers[2].members() == "c"
	})
	w.deaf = func(_, _ *peer) bool { return false }
	w.until("one ring", func() bool { return len(w.peers[0].members()) == 3 })
	w.peers[2].passed(Inside, Yielding, Outside, Asking, Inside)
	if i := slices.Index(w.peers[2].stages, Outside); i >= 0 && w.peers[2].stages[i].String() != "outside" {
		t.Errorf("the stage is called %v", w.peers[2].stages[i])
	}
}
