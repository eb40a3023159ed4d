package barrier

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// machine counts who has arrived. Arrivals and views have their places in one order, so
// all members pass a generation at the same place, with the same members.
type machine struct {
	state
	level engine.Level // of arrivals

	view toolkit.View
	next uint64 // generation that this member arrives at next; behind that of the state if that one broke
	wait *wait  // nil if this member waits for none
}

// state is what all members have.
type state struct {
	parties    uint32 // members without which it does not begin
	breaks     bool
	begun      bool   // there were so many
	generation uint64 // from 1
	arrived    []uint64
}

// wait is a member's waiting for others in one generation.
type wait struct {
	generation uint64
	over       bool
	err        error
}

// What is sent is a tag and the generation, 8 bytes, little-endian. A state is parties 4,
// flags 1, generation 8, and the members that have arrived, 8 each, in that order.
const (
	tagArrive   = 1
	tagWithdraw = 2
	recordLen   = 9

	stateHead  = 4 + 1 + 8
	flagBreaks = 1
	flagBegun  = 2

	maxMembers = 64 // of a ring
)

var le = binary.LittleEndian

func newMachine(parties uint32, breaks bool) *machine {
	return &machine{state: state{parties: parties, breaks: breaks, generation: 1}, level: engine.Total}
}

// away tells whether this member is expelled, and not back yet.
func (m *machine) away() bool { return m.view.Self == 0 }

// arrive begins to wait for a generation. It returns nil if this member waits already.
func (m *machine) arrive(out toolkit.Out) *wait {
	if m.wait != nil {
		return nil
	}
	w := &wait{generation: m.next}
	if m.next < m.generation { // it broke before this member came
		m.next, w.over, w.err = m.generation, true, broken(w.generation)
		return w
	}
	m.wait = w
	m.send(tagArrive, out)
	return w
}

// withdraw stops to wait.
func (m *machine) withdraw(w *wait, out toolkit.Out) {
	if m.wait == w {
		m.wait = nil
		m.send(tagWithdraw, out)
	}
}

func (m *machine) send(tag byte, out toolkit.Out) {
	out.Send(m.level, le.AppendUint64([]byte{tag}, m.next))
}

// Deliver counts one who arrives or withdraws.
func (m *machine) Deliver(k toolkit.Message, _ toolkit.Out) {
	if len(k.Payload) != recordLen || le.Uint64(k.Payload[1:]) != m.generation {
		return // the generation was over before
	}
	at := slices.Index(m.arrived, k.From)
	switch {
	case k.Payload[0] == tagArrive && at < 0 && m.view.Rank(k.From) >= 0:
		m.arrived = append(m.arrived, k.From)
	case k.Payload[0] == tagWithdraw && at >= 0:
		m.arrived = slices.Delete(m.arrived, at, at+1)
	}
	m.pass()
}

// View takes those out who are gone.
func (m *machine) View(v toolkit.View, _ toolkit.Out) {
	switch {
	case v.Expelled:
		*m = machine{state: newMachine(m.parties, m.breaks).state, level: m.level}
		return
	case v.Blocked:
		return
	}
	if v.Self != m.view.Self {
		m.next = m.generation // a new member
	}
	m.view = v
	m.arrived = slices.DeleteFunc(m.arrived, func(id uint64) bool { return v.Rank(id) < 0 })
	if m.breaks && m.begun && slices.ContainsFunc(v.Left, func(d engine.Departed) bool { return d.Reason != membership.Left }) {
		m.over(broken(m.generation))
	}
	m.begun = m.begun || len(v.Members) >= int(m.parties)
	m.pass()
}

// pass ends the generation if all are there.
func (m *machine) pass() {
	if m.begun && len(m.arrived) == len(m.view.Members) {
		m.over(nil)
		m.next = m.generation
	}
}

// over ends the generation.
func (m *machine) over(err error) {
	if m.wait != nil {
		m.wait.over, m.wait.err, m.wait = true, err, nil
		m.next = m.generation + 1
	}
	m.generation++
	m.arrived = nil
}

func broken(generation uint64) error {
	return fmt.Errorf("barrier: %w: in generation %d", ErrBroken, generation)
}

func (m *machine) Snapshot() (io.ReadCloser, error) {
	b, flags := le.AppendUint32(nil, m.parties), byte(0)
	if m.breaks {
		flags |= flagBreaks
	}
	if m.begun {
		flags |= flagBegun
	}
	b = le.AppendUint64(append(b, flags), m.generation)
	for _, id := range m.arrived {
		b = le.AppendUint64(b, id)
	}
	return io.NopCloser(strings.NewReader(string(b))), nil
}

// Restore takes what Snapshot gives, if that is of the same kind of barrier.
func (m *machine) Restore(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, stateHead+8*maxMembers+1))
	if err != nil {
		return err
	}
	if n := len(b) - stateHead; n < 0 || n%8 != 0 || n > 8*maxMembers || b[4] > flagBreaks|flagBegun {
		return fmt.Errorf("barrier: a state of %d bytes or more, %x, want %d and 8 for each of up to %d members", len(b), b[:min(len(b), stateHead)], stateHead, maxMembers)
	}
	s := state{parties: le.Uint32(b), breaks: b[4]&flagBreaks != 0, begun: b[4]&flagBegun != 0, generation: le.Uint64(b[5:])}
	if s.parties != m.parties || s.breaks != m.breaks {
		return fmt.Errorf("barrier: %w: the group's has %d parties and breaks: %v, want %d and %v", engine.ErrConfig, s.parties, s.breaks, m.parties, m.breaks)
	}
	for b = b[stateHead:]; len(b) > 0; b = b[8:] {
		s.arrived = append(s.arrived, le.Uint64(b))
	}
	m.state = s
	return nil
}
