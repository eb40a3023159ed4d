package leader

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// history is all that was ever believed in a run, also by those who failed.
type history struct {
	machines []*machine
	leaders  map[uint64]uint64   // by number
	last     map[*machine]uint64 // number of its last own term
	terms    int
}

func (h *history) add(m *machine) *machine {
	h.machines = append(h.machines, m)
	return m
}

// check: a number has one leader, whoever believes in it; a member's own terms grow; and
// who has a term is who leads.
func (h *history) check() error {
	for _, m := range h.machines {
		s := m.standing()
		if s.Known {
			if was := h.leaders[s.Number]; was != 0 && was != s.Leader.ID {
				return fmt.Errorf("number %d is of %d and of %d", s.Number, was, s.Leader.ID)
			}
			h.leaders[s.Number] = s.Leader.ID
		}
		if s.Self != (m.term != nil) {
			return fmt.Errorf("%d: standing %+v, term %v", m.view.Self, s, m.term)
		}
		if m.term == nil || m.term.Number == h.last[m] {
			continue
		}
		if m.term.Number < h.last[m] || m.term.Number != s.Number {
			return fmt.Errorf("%d: own term %d after %d, standing %+v", m.view.Self, m.term.Number, h.last[m], s)
		}
		h.last[m] = m.term.Number
		h.terms++
	}
	return nil
}

// settled: all agree, and one leads.
func settled(list []*machine) error {
	leads, first := 0, list[0].standing()
	for _, m := range list {
		s := m.standing()
		if s.Number != first.Number || !s.Known || s.Leader.ID != first.Leader.ID {
			return fmt.Errorf("%d has %+v, %d has %+v", list[0].view.Self, first, m.view.Self, s)
		}
		if s.Self {
			leads++
		}
	}
	if leads != 1 {
		return fmt.Errorf("%d members lead: %+v", leads, first)
	}
	return nil
}

// run has one seed's members fail, be blocked, leave and join. It returns how many terms
// there were.
func run[M toolkit.Machine](seed uint64, wrap func(*machine) M, bare func(M) *machine) (int, error) {
	h := &history{leaders: map[uint64]uint64{}, last: map[*machine]uint64{}}
	w, err := toolsim.New(seed, toolsim.Config[M]{
		Members: 4, Faults: 12,
		Make:  func() M { return wrap(h.add(newMachine(0))) },
		Check: func(*toolsim.World[M]) error { return h.check() },
	})
	if err == nil {
		err = w.Run(2000)
	}
	if err == nil {
		err = w.Settle()
	}
	if err == nil {
		var list []*machine
		for _, m := range w.Members() {
			list = append(list, bare(m.Machine))
		}
		err = settled(list)
	}
	if err != nil {
		err = fmt.Errorf("seed %d: %w\n%s", seed, err, strings.Join(w.Trace(), "\n"))
	}
	return h.terms, err
}

func same(m *machine) *machine { return m }

func TestOneLeaderANumber(t *testing.T) {
	terms := 0
	for seed := range uint64(60) {
		n, err := run(seed, same, same)
		if err != nil {
			t.Fatal(err)
		}
		terms += n
	}
	if terms < 500 {
		t.Errorf("%d terms in all: too few to tell", terms)
	}
	t.Logf("%d terms", terms)
}

// forgetful does not take over what the others know.
type forgetful struct{ *machine }

func (forgetful) Restore(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// silent does not claim anew when it has been blocked.
type silent struct{ *machine }

func (s silent) View(v toolkit.View, out toolkit.Out) {
	if v.Blocked {
		s.end()
		return
	}
	s.machine.View(v, out)
}

// TestFlawsAreCaught: of these elections, none passes.
func TestFlawsAreCaught(t *testing.T) {
	weak := func(m *machine) *machine { m.level = engine.Total; return m }
	for name, one := range map[string]func(seed uint64) (int, error){
		"claims that are not safe": func(seed uint64) (int, error) { return run(seed, weak, same) },
		"a joiner without the state": func(seed uint64) (int, error) {
			return run(seed, func(m *machine) forgetful { return forgetful{m} }, func(f forgetful) *machine { return f.machine })
		},
		"no claim after a block": func(seed uint64) (int, error) {
			return run(seed, func(m *machine) silent { return silent{m} }, func(s silent) *machine { return s.machine })
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				if _, err := one(seed); err != nil {
					t.Logf("%s", strings.SplitN(err.Error(), "\n", 2)[0])
					return
				}
			}
			t.Error("not caught in 300 seeds")
		})
	}
}
