package main

import (
	"fmt"

	"cohort/engine"
)

// printer prints what is delivered.
type printer struct {
	members int // that are expected
	met     bool
	got     int
	want    int           // 0: any number
	all     chan struct{} // closed when the messages that are wanted have come
	joined  chan struct{} // closed when all members are in the group
}

// Deliver prints a message.
func (p *printer) Deliver(m *engine.Message) {
	fmt.Printf("%s by %s: %s\n", m.Level, m.From().Name, m.Payload)
	if p.got++; p.got == p.want {
		close(p.all)
	}
}

// View prints who is in the group.
func (p *printer) View(v engine.GroupView) {
	fmt.Printf("%d of %d in %s\n", len(v.Members), p.members, v.Group)
	if len(v.Members) == p.members && !p.met {
		p.met = true
		close(p.joined)
	}
}
