package vote

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// hasty is a rule to which it matters what comes first.
func hasty(yes, no, null, _ int) (decided, accepted bool) {
	return yes >= 2 || no >= 2 || null >= 1, yes >= 2
}

// trial is a group that votes under simulation, at random.
type trial struct {
	levels   levels
	rule     Rule
	faults   int
	machines map[*machine]int // how many decisions of each have been checked; some have failed since
	outcomes map[string]Outcome
	votes    map[*member][]question
	accepted int
	refused  int
	nulls    int
}

type member = toolsim.Member[*machine]
type world = toolsim.World[*machine]

func (t *trial) make() *machine {
	m := newMachine(t.rule)
	m.levels = t.levels
	t.machines[m] = 0
	return m
}

func (t *trial) act(w *world, m *member) {
	if w.Rand.IntN(4) == 0 {
		key := fmt.Sprint(w.Rand.IntN(40))
		m.Do(func(a *machine, out toolkit.Out) { a.propose(key, fmt.Append(nil, m.ID), out) })
		return
	}
	t.vote(w, m)
}

func (t *trial) vote(w *world, m *member) bool {
	for {
		q, ok := m.Machine.due(func() {})
		if !ok {
			break
		}
		t.votes[m] = append(t.votes[m], q)
	}
	list := t.votes[m]
	if len(list) == 0 {
		return false
	}
	i := w.Rand.IntN(len(list))
	q := list[i]
	t.votes[m] = slices.Delete(list, i, i+1)
	m.Do(func(a *machine, out toolkit.Out) { a.cast(q, w.Rand.IntN(3) > 0, out) })
	return true
}

// check: nobody has decided otherwise than others, those who have failed included.
func (t *trial) check(*world) error {
	for m, seen := range t.machines {
		if len(m.closed) < seen {
			seen = 0 // it has begun anew
		}
		for _, key := range m.closed[seen:] {
			o := m.polls[key].Outcome
			if was, ok := t.outcomes[key]; ok && (!bytes.Equal(was.Proposal, o.Proposal) || was.tally() != o.tally()) {
				return fmt.Errorf("the outcome of %s was %+v, and is %+v", key, was, o)
			}
			t.outcomes[key] = o
		}
		t.machines[m] = len(m.closed)
	}
	return nil
}

func (o Outcome) tally() [5]any { return [5]any{o.Accepted, o.Yes, o.No, o.Null, o.Members} }

func (t *trial) run(seed uint64) ([]string, error) {
	t.machines, t.outcomes, t.votes = map[*machine]int{}, map[string]Outcome{}, map[*member][]question{}
	w, err := toolsim.New(seed, toolsim.Config[*machine]{Members: 4, Make: t.make, Act: t.act, Check: t.check, Faults: t.faults})
	if err != nil {
		return nil, err
	}
	err = w.Run(1000)
	for busy := true; busy && err == nil; {
		err = w.Settle()
		busy = false
		for _, m := range w.Members() {
			for t.vote(w, m) {
				busy = true
			}
		}
	}
	for _, m := range w.Members() {
		if k := len(m.Machine.open); k > 0 && err == nil {
			err = fmt.Errorf("%d has %d undecided polls", m.ID, k)
		}
	}
	for _, o := range t.outcomes {
		t.nulls += o.Null
		if o.Accepted {
			t.accepted++
		} else {
			t.refused++
		}
	}
	return w.Trace(), err
}

// TestOneOutcome: whatever fails, all is decided, and in one way.
func TestOneOutcome(t *testing.T) {
	for name, rule := range map[string]Rule{"majority": Majority, "all": All, "at least 2": AtLeast(2), "hasty": hasty,
		"never": func(int, int, int, int) (bool, bool) { return false, true }} {
		t.Run(name, func(t *testing.T) {
			one := trial{levels: weakest, rule: rule, faults: 60}
			for seed := range uint64(40) {
				if trace, err := one.run(seed); err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
				}
			}
			if one.refused == 0 || one.nulls == 0 || (one.accepted == 0) != (name == "never") {
				t.Errorf("%d accepted, %d refused, %d null votes", one.accepted, one.refused, one.nulls)
			}
			t.Logf("%d accepted, %d refused, %d null votes", one.accepted, one.refused, one.nulls)
		})
	}
}

// TestWeakerIsWrong: each of these has members decide differently.
func TestWeakerIsWrong(t *testing.T) {
	safe := engine.Total.Safe()
	for name, l := range map[string]levels{
		"proposals that are not in one order": {engine.Causal, safe, safe},
		"votes that are not in one order":     {engine.Total, engine.Causal.Safe(), safe},
		"votes that a failure can erase":      {engine.Total, engine.Total, safe},
		"counts that are not in one order":    {engine.Total, safe, engine.Causal.Safe()},
		"counts that a failure can erase":     {engine.Total, safe, engine.Total},
	} {
		t.Run(name, func(t *testing.T) {
			one := trial{levels: l, rule: hasty, faults: 20}
			for seed := range uint64(3000) {
				if _, err := one.run(seed); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("no seed shows what is wrong with it")
		})
	}
}
