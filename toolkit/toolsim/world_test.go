package toolsim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// probe notes what it is handed, and numbers what it sends.
type probe struct {
	State
	self     uint64
	next     uint64
	sent     map[string]map[string]bool // by message: what its sender had delivered
	expelled int
	blocked  int
}

// State is what a probe gives to others.
type State struct {
	All   []string            // all that was delivered, in order
	Views map[uint64][]string // what was delivered before each view that follows from a failure, sorted
}

func (p *probe) Deliver(m toolkit.Message, _ toolkit.Out) {
	key := fmt.Sprintf("%v %d.%d", m.Level, m.From, binary.LittleEndian.Uint64(m.Payload))
	p.All = append(p.All, key)
}

func (p *probe) View(v toolkit.View, out toolkit.Out) {
	if v.Expelled {
		p.expelled++
		return
	}
	if v.Blocked {
		p.blocked++
		p.send(engine.Total, out)
		return
	}
	if v.Fresh {
		p.Views = map[uint64][]string{}
	}
	if v.Self != p.self {
		p.self, p.next = v.Self, 0
	}
	if len(v.Left) > 0 && v.Left[0].Reason != membership.Left {
		p.Views[v.Num] = slices.Sorted(slices.Values(p.All))
	}
}

func (p *probe) Snapshot() (io.ReadCloser, error) {
	b, err := json.Marshal(p.State)
	return io.NopCloser(strings.NewReader(string(b))), err
}

func (p *probe) Restore(r io.Reader) error {
	p.State = State{}
	return json.NewDecoder(r).Decode(&p.State)
}

func (p *probe) send(l engine.Level, out toolkit.Out) {
	past := map[string]bool{}
	for _, k := range p.All {
		past[k] = true
	}
	p.sent[fmt.Sprintf("%v %d.%d", l, p.self, p.next)] = past
	out.Send(l, binary.LittleEndian.AppendUint64(nil, p.next))
	p.next++
}

var levels = []engine.Level{engine.FIFO, engine.Causal, engine.Total, engine.FIFO.Safe(), engine.Total.Safe(), engine.Causal.SafeAll()}

// TestPromises: what the engine promises holds, and what it does not promise happens too.
func TestPromises(t *testing.T) {
	var met struct{ disorder, lost, expelled, blocked, joined int }
	for seed := range uint64(100) {
		sent := map[string]map[string]bool{}
		dead := []*Member[*probe]{}
		w, err := New(seed, Config[*probe]{
			Members: 4, Faults: 80,
			Make: func() *probe { return &probe{sent: sent} },
			Act: func(w *World[*probe], m *Member[*probe]) {
				m.Do(func(p *probe, out toolkit.Out) { p.send(levels[w.Rand.IntN(len(levels))], out) })
			},
			Check: func(w *World[*probe]) error {
				for _, m := range w.group() {
					if m.failed && !slices.Contains(dead, m) {
						dead = append(dead, m)
					}
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Run(2500); err != nil {
			t.Fatal(err)
		}
		if err := w.Settle(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		list := w.Members()
		first := list[0].Machine
		for _, m := range list {
			if got := ids(m.View()); !slices.Equal(got, numbers(list)) {
				t.Errorf("seed %d: %d is in a view of %v, want %v", seed, m.ID, got, numbers(list))
			}
			p := m.Machine
			compare(t, seed, first, p)
			causes(t, seed, p, sent)
			if !slices.Equal(p.All, first.All) {
				met.disorder++
			}
			met.expelled += p.expelled
			met.blocked += p.blocked
			met.joined += int(m.ID) / 5
		}
		for _, m := range dead {
			met.lost += lost(t, seed, m.Machine, first)
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(w.Trace(), "\n"))
		}
	}
	if met.disorder == 0 || met.lost == 0 || met.expelled == 0 || met.blocked == 0 || met.joined == 0 {
		t.Errorf("what may happen has not: %+v", met)
	}
	t.Logf("%+v", met)

}

// compare checks agreement: the same messages in the end and up to each failure, the same
// failures, and one total order.
func compare(t *testing.T, seed uint64, a, b *probe) {
	t.Helper()
	if x, y := slices.Sorted(slices.Values(a.All)), slices.Sorted(slices.Values(b.All)); !slices.Equal(x, y) {
		t.Errorf("seed %d: %d has %d messages, %d has %d", seed, a.self, len(x), b.self, len(y))
	}
	if len(a.Views) != len(b.Views) {
		t.Errorf("seed %d: %d saw %d members fail, %d saw %d", seed, a.self, len(a.Views), b.self, len(b.Views))
	}
	for num, x := range a.Views {
		if !slices.Equal(x, b.Views[num]) {
			t.Errorf("seed %d: %d and %d have not delivered the same before view %d", seed, a.self, b.self, num)
		}
	}
	total := func(p *probe) []string {
		return slices.DeleteFunc(slices.Clone(p.All), func(k string) bool { return !strings.Contains(k, "abcast") })
	}
	if !slices.Equal(total(a), total(b)) {
		t.Errorf("seed %d: the total orders of %d and %d differ", seed, a.self, b.self)
	}
}

// causes checks that nothing comes twice, nor before its cause or its sender's last.
func causes(t *testing.T, seed uint64, p *probe, sent map[string]map[string]bool) {
	t.Helper()
	have, next := map[string]bool{}, map[string]int{}
	for _, k := range p.All {
		if have[k] {
			t.Errorf("seed %d: %s came twice to %d", seed, k, p.self)
		}
		level, rest, _ := strings.Cut(k, " ")
		from, num, _ := strings.Cut(rest, ".")
		if num != fmt.Sprint(next[from]) {
			t.Errorf("seed %d: %s comes to %d after %d of its sender", seed, k, p.self, next[from])
		}
		next[from]++
		if !strings.Contains(level, "fbcast") {
			for c := range sent[k] {
				if !have[c] {
					t.Errorf("seed %d: %s comes to %d before %s", seed, k, p.self, c)
				}
			}
		}
		have[k] = true
	}
}

// lost counts what only one who failed has delivered: nothing safe.
func lost(t *testing.T, seed uint64, dead, alive *probe) (count int) {
	t.Helper()
	have := maps.Collect(func(yield func(string, bool) bool) {
		for _, k := range alive.All {
			if !yield(k, true) {
				return
			}
		}
	})
	for _, k := range dead.All {
		if have[k] {
			continue
		}
		count++
		if strings.HasPrefix(k, "safe") {
			t.Errorf("seed %d: %d had delivered %s, which is safe and lost", seed, dead.self, k)
		}
	}
	return count
}
