package cohort

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// trial is a service under simulation. Every call of its function returns something else.
type trial struct {
	levels  levels
	faults  int
	session uint64
	calls   int
	jobs    map[*toolsim.Member[*machine]][]job
	answers map[key]string    // that any member has ever had
	asked   map[*machine]bool // of these, some have failed since
	served  int
}

type member = toolsim.Member[*machine]
type world = toolsim.World[*machine]

func (t *trial) make() *machine {
	t.session++
	m := newMachine(t.session)
	m.levels = t.levels
	t.asked[m] = true
	return m
}

// act asks, begins jobs and ends them.
func (t *trial) act(w *world, m *member) {
	if w.Rand.IntN(3) == 0 {
		m.Do(func(a *machine, out toolkit.Out) {
			for num := range a.open { // who has an answer takes it
				if a.answered(num) != nil {
					delete(a.open, num)
				}
			}
			if len(a.open) < 3 {
				a.ask([]byte{1, 2, 3}, out)
			}
		})
		return
	}
	t.work(w, m)
}

func (t *trial) work(w *world, m *member) {
	for {
		j, ok := m.Machine.due(func() {})
		if !ok {
			break
		}
		t.jobs[m] = append(t.jobs[m], j)
	}
	if list := t.jobs[m]; len(list) > 0 {
		i := w.Rand.IntN(len(list))
		j := list[i]
		t.jobs[m] = append(list[:i:i], list[i+1:]...)
		t.calls++
		w.Note("%d ends %v", m.ID, j.key)
		m.Do(func(a *machine, out toolkit.Out) { a.finish(j, fmt.Append(nil, t.calls), false, out) })
	}
}

// check: no two members have different answers, and no answer changes or is forgotten for
// another. Those who have failed count: their callers may have acted on what they had.
func (t *trial) check(*world) error {
	for m := range t.asked {
		for name, s := range m.sessions {
			for num, e := range s.requests {
				if !e.done {
					continue
				}
				k := key{name, num}
				if was, ok := t.answers[k]; ok && was != string(e.answer) {
					return fmt.Errorf("request %v was answered %q, and is answered %q", k, was, e.answer)
				}
				t.answers[k] = string(e.answer)
			}
		}
	}
	return nil
}

// run runs one seed to its end: then all whose callers wait are answered, everywhere.
func (t *trial) run(seed uint64) (trace []string, err error) {
	t.asked, t.answers, t.jobs = map[*machine]bool{}, map[key]string{}, map[*member][]job{}
	w, err := toolsim.New(seed, toolsim.Config[*machine]{Members: 3, Make: t.make, Act: t.act, Check: t.check, Faults: t.faults})
	if err != nil {
		return nil, err
	}
	err = w.Run(2500)
	for busy := true; busy && err == nil; {
		if err = w.Settle(); err != nil {
			break
		}
		busy = false
		for _, m := range w.Members() {
			before := t.calls
			t.work(w, m)
			busy = busy || t.calls > before
		}
	}
	if err != nil {
		return w.Trace(), err
	}
	for _, m := range w.Members() {
		for num := range m.Machine.open {
			for _, o := range w.Members() {
				k := key{m.Machine.session, num}
				if e := o.Machine.entry(k); e == nil || !e.done {
					return w.Trace(), fmt.Errorf("request %v of %d is not answered at %d, served by %d: %+v", k, m.ID, o.ID, o.Machine.server(k), e)
				}
			}
		}
		if k := len(m.Machine.runs); k > 0 {
			return w.Trace(), fmt.Errorf("%d is still serving %d requests", m.ID, k)
		}
	}
	t.served += len(t.answers)
	return nil, nil
}

// TestOneAnswer: whatever fails, each request is answered, in one way only.
func TestOneAnswer(t *testing.T) {
	one := trial{levels: weakest, faults: 60}
	for seed := range uint64(100) {
		if trace, err := one.run(seed); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
	}
	if one.served == 0 || one.calls <= one.served {
		t.Errorf("%d calls for %d requests: no backup has served any", one.calls, one.served)
	}
	t.Logf("%d requests, %d calls of the function", one.served, one.calls)
}

// TestOneCall: where nothing fails, the function is called once for each request.
func TestOneCall(t *testing.T) {
	one := trial{levels: weakest}
	for seed := range uint64(20) {
		if trace, err := one.run(seed); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
	}
	if one.served == 0 || one.calls != one.served {
		t.Errorf("%d calls for %d requests", one.calls, one.served)
	}
}

// TestWeakerIsWrong: each of these lets a request be answered in two ways, or not at all.
func TestWeakerIsWrong(t *testing.T) {
	for name, l := range map[string]levels{
		"an answer that a failure can erase":     {engine.FIFO, engine.Causal},
		"an answer that may precede its request": {engine.FIFO, engine.FIFO.Safe()},
	} {
		t.Run(name, func(t *testing.T) {
			one := trial{levels: l, faults: 60}
			for seed := range uint64(100) {
				if _, err := one.run(seed); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("no seed shows what is wrong with it")
		})
	}
}

func TestNobodyElsesAnswer(t *testing.T) {
	if e := newMachine(1).answered(7); e != nil {
		t.Errorf("a request that was never made is answered %q", e.answer)
	}
	if _, ok := parseRequest([]byte{tagRequest}); ok {
		t.Error("a request of one byte was taken")
	}
	if err := newMachine(1).Restore(strings.NewReader("{")); err == nil || errors.Is(err, engine.ErrState) {
		t.Errorf("half a state gives %v, want an error of its own", err)
	}
}
