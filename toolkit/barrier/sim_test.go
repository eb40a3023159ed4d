package barrier

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// user is a member and what its program does.
type user struct {
	*machine
	h       *history
	last    *wait
	passed  map[uint64]string // by generation: with whom, or that it broke
	forgets bool              // it does not take over what the others know
}

// history is what all programs have done.
type history struct {
	came   map[uint64]map[uint64]bool // by generation and member
	err    error
	passes int
	breaks int
}

func (u *user) Deliver(k toolkit.Message, out toolkit.Out) {
	u.watch(func() { u.machine.Deliver(k, out) }, false)
}

func (u *user) View(v toolkit.View, out toolkit.Out) {
	if v.Expelled {
		u.machine.View(v, out)
		clear(u.passed)
		return
	}
	failed := len(v.Left) > 0 && v.Left[0].Reason != membership.Left
	u.watch(func() { u.machine.View(v, out) }, failed && u.breaks)
}

// watch checks that whoever passes does so when all have come.
func (u *user) watch(call func(), failure bool) {
	was := u.generation
	call()
	if u.generation == was {
		return
	}
	if failure {
		u.passed[was] = "broken"
		u.h.breaks++
		return
	}
	var ids []uint64
	for _, m := range u.view.Members {
		ids = append(ids, m.ID)
		if !u.h.came[was][m.ID] {
			u.h.err = fmt.Errorf("%d passes generation %d without %d", u.view.Self, was, m.ID)
		}
	}
	u.passed[was] = fmt.Sprint(ids)
	u.h.passes++
}

func (u *user) Restore(r io.Reader) error {
	if u.forgets {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	return u.machine.Restore(r)
}

func (h *history) arrive(m *toolsim.Member[*user]) {
	m.Do(func(u *user, out toolkit.Out) {
		w := u.arrive(out)
		if w == nil {
			return
		}
		if u.last = w; h.came[w.generation] == nil {
			h.came[w.generation] = map[uint64]bool{}
		}
		h.came[w.generation][m.ID] = true
	})
}

// run has members meet while some fail, are blocked, leave and join.
func run(seed uint64, breaks bool, flaw func(u *user)) (*history, error) {
	h := &history{came: map[uint64]map[uint64]bool{}}
	w, err := toolsim.New(seed, toolsim.Config[*user]{
		Members: 3, Faults: 60,
		Make: func() *user {
			u := &user{machine: newMachine(3, breaks), h: h, passed: map[uint64]string{}}
			flaw(u)
			return u
		},
		Act: func(w *toolsim.World[*user], m *toolsim.Member[*user]) {
			if w.Rand.IntN(10) == 0 && m.Machine.wait != nil {
				m.Do(func(u *user, out toolkit.Out) { u.withdraw(u.wait, out) })
				return
			}
			h.arrive(m)
		},
		Check: func(*toolsim.World[*user]) error { return h.err },
	})
	if err == nil {
		err = w.Run(2000)
	}
	for range 3 {
		if err == nil {
			err = w.Settle()
		}
		if err == nil {
			err = h.rest(w.Members())
		}
	}
	if err != nil {
		err = fmt.Errorf("seed %d: %w\n%s", seed, err, strings.Join(w.Trace(), "\n"))
	}
	return h, err
}

// rest: all have passed the same generations with the same members, and if all wait,
// none waits. Then those who do not, come.
func (h *history) rest(list []*toolsim.Member[*user]) error {
	first, waiting := list[0].Machine, 0
	for _, m := range list {
		u := m.Machine
		if u.generation != first.generation {
			return fmt.Errorf("generation %d at %d, %d at %d", u.generation, m.ID, first.generation, list[0].ID)
		}
		for g, with := range u.passed {
			if other, ok := first.passed[g]; ok && other != with {
				return fmt.Errorf("generation %d: %s at %d, %s at %d", g, with, m.ID, other, list[0].ID)
			}
		}
		if u.wait != nil {
			waiting++
		}
	}
	if waiting == len(list) && first.begun {
		return fmt.Errorf("all %d members wait in generation %d", waiting, first.generation)
	}
	for _, m := range list {
		h.arrive(m)
	}
	return nil
}

func none(*user) {}

func TestAllMeet(t *testing.T) {
	for _, breaks := range []bool{false, true} {
		passes, broken := 0, 0
		for seed := range uint64(100) {
			h, err := run(seed, breaks, none)
			if err != nil {
				t.Fatal(err)
			}
			passes, broken = passes+h.passes, broken+h.breaks
		}
		if passes < 1000 || breaks != (broken > 100) {
			t.Errorf("breaks %v: %d passed, %d broken", breaks, passes, broken)
		}
		t.Logf("breaks %v: %d passed, %d broken", breaks, passes, broken)
	}
}

// TestFlawsAreCaught: of these, none passes.
func TestFlawsAreCaught(t *testing.T) {
	for name, flaw := range map[string]func(u *user){
		"arrivals without a place in the order": func(u *user) { u.level = engine.FIFO },
		"causal arrivals":                       func(u *user) { u.level = engine.Causal },
		"a joiner who knows nothing":            func(u *user) { u.forgets = true },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				if _, err := run(seed, false, flaw); err != nil {
					t.Logf("%s", strings.SplitN(err.Error(), "\n", 2)[0])
					return
				}
			}
			t.Error("not caught in 300 seeds")
		})
	}
}
