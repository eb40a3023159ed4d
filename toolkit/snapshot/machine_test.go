package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// diary is a program that remembers what it has sent and got: its state.
type diary struct {
	Sent []entry
	Got  []entry
	view toolkit.View
}

type entry struct {
	From, To uint64
	Num      int // names the message
}

func (d *diary) Deliver(from uint64, payload []byte, _ Send) {
	var e entry
	if err := json.Unmarshal(payload, &e); err != nil || e.From != from {
		panic(fmt.Sprintf("%d sent %q: %v", from, payload, err))
	}
	d.Got = append(d.Got, e)
}

func (d *diary) State() []byte {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return b
}

func (d *diary) View(v toolkit.View) {
	if v.Self != d.view.Self || v.Expelled {
		d.Sent, d.Got = nil, nil
	}
	d.view = v
}

type member = toolsim.Member[*machine]
type world = toolsim.World[*machine]

// trial has members write to each other and take snapshots.
type trial struct {
	levels   levels
	faults   int
	next     int
	taken    int
	nulls    int
	inFlight int
}

func (t *trial) make() *machine {
	m := newMachine(&diary{})
	m.levels = t.levels
	return m
}

func (t *trial) act(w *world, m *member) {
	if w.Rand.IntN(6) == 0 {
		m.Do(func(a *machine, out toolkit.Out) { a.take(out) })
		return
	}
	list := m.View().Members
	t.next++
	e := entry{m.ID, list[w.Rand.IntN(len(list))].ID, t.next}
	if w.Rand.IntN(4) == 0 {
		e.To = All
	}
	b, _ := json.Marshal(e)
	m.Do(func(a *machine, out toolkit.Out) {
		if a.send(e.To, b, out) == nil {
			d := a.app.(*diary)
			d.Sent = append(d.Sent, e)
		}
	})
}

// check judges all snapshots that are done.
func (t *trial) check(w *world) error {
	for _, m := range w.Members() {
		for num, c := range m.Machine.cuts {
			if c.done == nil {
				continue
			}
			delete(m.Machine.cuts, num)
			t.taken++
			t.inFlight += len(c.done.InFlight)
			if err := t.judge(m, c.done); err != nil {
				return fmt.Errorf("snapshot %d of %d: %w", num, m.ID, err)
			}
		}
	}
	return nil
}

// judge tells whether it could have been so at one moment: all that has come had been
// sent, and what had been sent and not come is on its way.
func (t *trial) judge(taker *member, s *Snapshot) error {
	diaries := map[uint64]diary{}
	for _, m := range s.Members {
		var d diary
		if m.Null {
			t.nulls++
		} else if err := json.Unmarshal(m.State, &d); err != nil {
			return err
		} else {
			diaries[m.ID] = d
		}
	}
	for _, m := range taker.View().Members { // they have not left before the marker
		if _, in := diaries[m.ID]; in {
			continue
		}
		for id, d := range diaries {
			if slices.ContainsFunc(d.Sent, func(e entry) bool { return e.To == m.ID }) && s.Of(m.ID) == nil {
				return fmt.Errorf("%d had sent to %d, which is left out", id, m.ID)
			}
		}
	}
	for p, from := range diaries {
		for q, to := range diaries {
			all := p != q && q <= 3 // who joined later has not got all that all have
			var sent, there []entry
			for _, e := range from.Sent {
				if e.To == q || e.To == All && all {
					sent = append(sent, e)
				}
			}
			for _, e := range to.Got {
				if e.From == p && (e.To == q || all) {
					there = append(there, e)
				}
			}
			for _, l := range s.InFlight {
				var e entry
				if err := json.Unmarshal(l.Payload, &e); err != nil {
					return err
				}
				if l.From == p && l.To == q && (e.To == q || all) {
					there = append(there, e)
				}
			}
			if !slices.Equal(sent, there) {
				return fmt.Errorf("%d had sent %v to %d, where %v had come or is to come", p, sent, q, there)
			}
		}
	}
	return nil
}

func (t *trial) run(seed uint64) ([]string, error) {
	w, err := toolsim.New(seed, toolsim.Config[*machine]{Members: 3, Make: t.make, Act: t.act, Check: t.check, Faults: t.faults})
	if err != nil {
		return nil, err
	}
	if err = w.Run(1000); err == nil {
		err = w.Settle()
	}
	if err == nil {
		err = t.check(w) // the last flush has none after it
	}
	for _, m := range w.Members() {
		if k := len(m.Machine.cuts); k > 0 && err == nil {
			err = fmt.Errorf("%d snapshots of %d have not come about", k, m.ID)
		}
	}
	return w.Trace(), err
}

// TestConsistent: every snapshot could have been the state at one moment.
func TestConsistent(t *testing.T) {
	one := trial{levels: weakest, faults: 60}
	for seed := range uint64(60) {
		if trace, err := one.run(seed); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
	}
	if one.taken == 0 || one.nulls == 0 || one.inFlight == 0 {
		t.Errorf("%d snapshots, %d null states, %d messages on their way", one.taken, one.nulls, one.inFlight)
	}
	t.Logf("%d snapshots, %d null states, %d messages on their way", one.taken, one.nulls, one.inFlight)
}

// TestWeakerIsWrong: with each of these there is a snapshot that could never have been.
func TestWeakerIsWrong(t *testing.T) {
	for name, l := range map[string]levels{
		"messages that overtake the marker":        {engine.FIFO, engine.Total, engine.FIFO},
		"a marker that has no place among views":   {engine.Causal, engine.Causal, engine.FIFO},
		"messages of one sender in order, no more": {engine.FIFO, engine.FIFO, engine.FIFO},
	} {
		t.Run(name, func(t *testing.T) {
			one := trial{levels: l, faults: 60}
			for seed := range uint64(300) {
				if _, err := one.run(seed); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("no seed shows what is wrong with it")
		})
	}
}

// TestMarkerAmongTheSame: where nobody joins, a marker needs no order of its own.
func TestMarkerAmongTheSame(t *testing.T) {
	one := trial{levels: levels{engine.Causal, engine.Causal, engine.FIFO}}
	for seed := range uint64(60) {
		if trace, err := one.run(seed); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
	}
}
