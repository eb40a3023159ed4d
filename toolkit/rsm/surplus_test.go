package rsm

import (
	"slices"
	"testing"

	"cohort/membership"
	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// TestSurplusTakesAPlace: a member that is one too many joins before the group runs, and
// takes the place of one that leaves: what it says is on its disk is.
func TestSurplusTakesAPlace(t *testing.T) {
	for seed := range uint64(5) {
		d := &disks{t: t, acked: map[int]string{}}
		for range 3 {
			d.list = append(d.list, &memory{})
		}
		extra := &memory{has: Stored{Promise: 0}}
		next := 0
		all := append(slices.Clone(d.list), extra)
		w, err := toolsim.New(seed, toolsim.Config[*machine]{
			Members: 4,
			Make:    func() *machine { next++; return d.machine(all[next-1]) },
		})
		if err != nil {
			t.Fatal(err)
		}
		members := w.Members()
		settle := func(of ...*toolsim.Member[*machine]) {
			for again := true; again; {
				again = false
				if err := w.Settle(); err != nil {
					t.Fatal(err)
				}
				for _, m := range of {
					again = d.store(m, 1000) || again
				}
			}
		}
		x := members[3]
		if x.Machine.disk.running || !x.Machine.disk.surplus {
			t.Fatalf("running %v surplus %v", x.Machine.disk.running, x.Machine.disk.surplus)
		}
		settle(members...)
		for range 5 {
			d.propose(members[0])
		}
		settle(members...)
		if !x.Machine.disk.running || len(d.acked) != 5 {
			t.Fatalf("running %v, acked %d", x.Machine.disk.running, len(d.acked))
		}
		// members[1] goes: x is counted.
		v := x.View()
		for _, m := range []*toolsim.Member[*machine]{members[0], members[2], x} {
			nv := m.View()
			nv.Num++
			nv.Members = slices.DeleteFunc(slices.Clone(v.Members), func(o membership.Member) bool { return o.ID == members[1].ID })
			m.Do(func(k *machine, out toolkit.Out) { k.View(nv, out) })
		}
		if x.Machine.disk.surplus {
			t.Fatal("still surplus")
		}
		d.propose(members[0]) // members[2]'s disk is slow
		settle(members[0], x)
		if x.Machine.disk.synced.position != 6 {
			t.Logf("x says it has %+v", x.Machine.disk.synced)
		}
		k := extra.has
		fresh, _ := newMachine(&journal{})
		fresh.disk, _ = newDisk(Durability{Storage: extra, Disks: 3})
		if err := fresh.load(extra.Stored()); err != nil {
			t.Fatal(err)
		}
		lines := fresh.app.(*journal).Lines
		if len(d.acked) == 6 && len(lines) != 6 {
			t.Errorf("seed %d: 6 acknowledged by members 0 and x; x reported %+v, its disk: epoch %d position %d, %d records, lines %q", seed, x.Machine.disk.synced, k.Epoch, k.Position, len(k.Records), lines)
		}
	}
}
