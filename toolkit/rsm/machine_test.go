package rsm

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// flaws are the ways in which a run is made wrong, to see that it is noticed.
type flaws struct {
	unsafe  bool // commands and barriers are abcast, not safe
	local   bool // reads look at what is there
	forgets bool // who tries again does it under another ID
}

// clients drive the machines of a simulated group, each one request at a time, as Replica
// does: what an expulsion has cut short is tried again.
type clients struct {
	t     *testing.T
	flaws flaws
	h     history
	now   int64
	of    map[*machine]*client
	met   struct{ answered, again int }
}

type client struct {
	num   int
	drawn uint64
	busy  bool
	again func(m *machine, out toolkit.Out) // what an expulsion has cut short
}

func (c *clients) machine() *machine {
	m, err := newMachine(counters{})
	if err != nil {
		c.t.Fatal(err)
	}
	if c.flaws.unsafe {
		m.level = engine.Total
	}
	c.of[m] = &client{num: len(c.of)}
	return m
}

func (c *clients) act(w *toolsim.World[*machine], m *toolsim.Member[*machine]) {
	k := c.of[m.Machine]
	if m.Machine.away || k.busy && k.again == nil {
		return
	}
	m.Do(func(m *machine, out toolkit.Out) {
		if again := k.again; again != nil {
			k.again = nil
			c.met.again++
			again(m, out)
			return
		}
		k.busy = true
		in := input{fmt.Sprint("k", w.Rand.IntN(3)), w.Rand.IntN(2) == 0}
		end := c.h.begin(k.num, in, c.now)
		if in.add {
			k.drawn++
			c.add(k, m, out, ID{uint64(k.num), k.drawn, m.position}, in.key, end)
		} else {
			c.read(k, m, out, in.key, end)
		}
	})
}

func (c *clients) add(k *client, m *machine, out toolkit.Out, id ID, key string, end func(int, int64)) {
	m.propose(id, []byte(key), out, &waiter{func(o outcome) {
		if o.err != nil {
			k.again = func(m *machine, out toolkit.Out) {
				if c.flaws.forgets {
					k.drawn++
					id.Num = k.drawn
				}
				c.add(k, m, out, id, key, end)
			}
			return
		}
		c.answer(k, end, parse(c.t, o.result))
	}})
}

func (c *clients) read(k *client, m *machine, out toolkit.Out, key string, end func(int, int64)) {
	look := func() { c.answer(k, end, m.app.(counters)[key]) }
	if c.flaws.local {
		look()
		return
	}
	m.reads.add(m, out, func(err error) {
		if err != nil {
			k.again = func(m *machine, out toolkit.Out) { c.read(k, m, out, key, end) }
			return
		}
		look()
	})
}

func (c *clients) answer(k *client, end func(int, int64), output int) {
	k.busy = false
	c.met.answered++
	end(output, c.now)
}

// simulate runs one seed, and tells whether what the clients were told is linearizable.
func simulate(t *testing.T, seed uint64, f flaws) (ok bool, c *clients) {
	t.Helper()
	c = &clients{t: t, flaws: f, of: map[*machine]*client{}}
	w, err := toolsim.New(seed, toolsim.Config[*machine]{
		Members: 3, Faults: 120, Make: c.machine, Act: c.act,
		Check: func(*toolsim.World[*machine]) error { c.now++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(1500); err != nil {
		t.Fatal(err)
	}
	if err := w.Settle(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	first := w.Members()[0].Machine
	for _, m := range w.Members() {
		if !f.unsafe && (!maps.Equal(m.Machine.app.(counters), first.app.(counters)) || m.Machine.position != first.position) {
			t.Fatalf("seed %d: member %d has %v at %d, another %v at %d\n%s", seed, m.ID, m.Machine.app, m.Machine.position,
				first.app, first.position, strings.Join(w.Trace(), "\n"))
		}
		if k := c.of[m.Machine]; k.busy && k.again == nil {
			t.Fatalf("seed %d: member %d has no answer\n%s", seed, m.ID, strings.Join(w.Trace(), "\n"))
		}
	}
	return c.h.linearizable(t), c
}

// TestLinearizable: whatever fails, what clients are told is a history of one machine.
func TestLinearizable(t *testing.T) {
	answered, again := 0, 0
	for seed := range uint64(200) {
		ok, c := simulate(t, seed, flaws{})
		if !ok {
			t.Fatalf("seed %d: not linearizable:\n%v", seed, c.h.ops)
		}
		answered += c.met.answered
		again += c.met.again
	}
	t.Logf("%d answers, %d requests tried again", answered, again)
	if answered < 10_000 || again < 100 {
		t.Errorf("%d answers, %d requests tried again: that tests little", answered, again)
	}
}

// TestFlawsAreCaught: the same test notices what is wrong.
func TestFlawsAreCaught(t *testing.T) {
	for name, f := range map[string]flaws{
		"abcast that is not safe": {unsafe: true},
		"local reads":             {local: true},
		"another ID":              {forgets: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				if ok, _ := simulate(t, seed, f); !ok {
					t.Logf("caught by seed %d", seed)
					return
				}
			}
			t.Error("not caught by 200 seeds")
		})
	}
}
