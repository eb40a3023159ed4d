package vote

import (
	"testing"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

type dropOut struct{ list [][]byte }

func (d *dropOut) Send(_ engine.Level, p []byte) { d.list = append(d.list, append([]byte(nil), p...)) }

// TestKeysOfAnyBytes: a member that joins knows the polls by the same keys.
func TestKeysOfAnyBytes(t *testing.T) {
	members := []membership.Member{{ID: 1}, {ID: 2}}
	a, b := newMachine(Majority), newMachine(Majority)
	va := toolkit.View{GroupView: engine.GroupView{Num: 2, Members: members}, Self: 1}
	vb := va
	vb.Self = 2
	var o dropOut
	a.view = toolkit.View{GroupView: engine.GroupView{Num: 1, Members: members[:1]}, Self: 1}
	a.propose("\xff\x01", []byte("p"), &o)
	prop := o.list[0]
	a.Deliver(toolkit.Message{From: 1, Payload: prop}, &o)
	r, _ := a.Snapshot()
	if err := b.Restore(r); err != nil {
		t.Fatal(err)
	}
	a.View(va, &o)
	b.View(vb, &o)
	for _, m := range []*machine{a, b} {
		m.Deliver(toolkit.Message{From: 1, Payload: prop}, &o) // proposed again: "the first stands"
	}
	if b.polls["\xff\x01"] == nil || a.next != b.next || len(a.open) != len(b.open) {
		t.Errorf("a: next %d, %d open; b: next %d, %d open, keys %q", a.next, len(a.open), b.next, len(b.open), func() (k []string) {
			for s := range b.polls {
				k = append(k, s)
			}
			return
		}())
	}
}
