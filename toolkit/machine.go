// Package toolkit is what programs build on virtual synchrony, and what these tools have
// in common. A tool is a Machine, pure and small, that a Host runs in a group of its own:
// locks in package locks, and so on for each folder. Package toolsim runs the same
// machines against every behaviour that the engine's promises allow.
//
// The toolkit follows that of Isis: Birman and Joseph, "Exploiting Virtual Synchrony in
// Distributed Systems" (1987).
package toolkit

import (
	"bytes"
	"io"

	"cohort/engine"
)

// Machine is the protocol of a tool at one member: no sockets, clocks or goroutines. One
// call is made at a time. What it does may depend on nothing but the calls, so that
// members that get the same messages in the same order are in the same state.
//
// Snapshot and Restore are those of engine.Stateful: Restore is called before the first
// View, unless that is Fresh, and again after an expulsion.
type Machine interface {
	// Deliver takes a message of the group; out sends.
	Deliver(m Message, out Out)

	// View takes a view of the group, or that the group has gone on without this member
	// (Expelled), which is then a new member, of another ID, in the next view: what it
	// had sent last may be lost.
	View(v View, out Out)

	Snapshot() (io.ReadCloser, error)
	Restore(r io.Reader) error
}

// Message is what a group delivers.
type Message struct {
	From    uint64 // ID of the member that sent it
	Level   engine.Level
	Payload []byte // borrowed until Deliver returns
}

// View is a view of the group, and which of its members this one is.
type View struct {
	engine.GroupView
	Self uint64 // ID of this member
}

// Rank returns the rank of the member with this ID; -1 if it is not in the view.
func (v View) Rank(id uint64) int {
	for i, m := range v.Members {
		if m.ID == id {
			return i
		}
	}
	return -1
}

// Out sends for a machine.
type Out interface {
	// Send multicasts payload to the machine's group, after what it has sent before; the
	// payload is the caller's again at once. Every member that stays delivers it, the
	// sender too. Nothing is delivered before the machine's method has returned.
	Send(l engine.Level, payload []byte)
}

// Stateless is for machines that keep nothing that a joiner has to know: embed it.
type Stateless struct{}

// Snapshot is empty.
func (Stateless) Snapshot() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(nil)), nil }

// Restore takes nothing.
func (Stateless) Restore(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
