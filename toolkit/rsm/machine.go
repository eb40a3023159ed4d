package rsm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"cohort/engine"
	"cohort/toolkit"
)

const maxMessage = engine.MaxMessage

var (
	// ErrForgotten: the proposal is so old that the group no longer knows whether it has
	// been applied before. It was not applied now.
	ErrForgotten = errors.New("the proposal is too old to be told whether it has been applied")

	errAgain = errors.New("the member has to try again")
)

// machine is one member's copy.
type machine struct {
	app      Application
	initial  []byte       // the application's state as a group begins
	level    engine.Level // Total.Safe(), but in tests that want it to fail
	position uint64       // commands delivered since the group began
	recall   recall

	self  uint64
	away  bool // expelled, and not back yet
	mine  map[key][]*waiter
	reads reads
}

// waiter is somebody who waits for what comes of a proposal.
type waiter struct{ done func(outcome) }

// outcome is what becomes of a proposal: its result, or ErrForgotten, engine.ErrExpelled.
type outcome struct {
	result []byte
	err    error
}

func newMachine(app Application) (*machine, error) {
	m := &machine{app: app, level: engine.Total.Safe(), recall: newRecall(), mine: map[key][]*waiter{}}
	r, err := app.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("rsm: the application's initial state: %w", err)
	}
	defer r.Close()
	if m.initial, err = io.ReadAll(r); err != nil {
		return nil, fmt.Errorf("rsm: the application's initial state: %w", err)
	}
	return m, nil
}

// propose sends a command, and has w told once what comes of it: at once, if that is
// known already.
func (m *machine) propose(id ID, command []byte, out toolkit.Out, w *waiter) {
	if r, ok := m.recall.find(id.key()); ok {
		w.done(outcome{result: r.result})
		return
	}
	m.mine[id.key()] = append(m.mine[id.key()], w)
	out.Send(m.level, appendCommand(nil, id, command))
}

// withdraw has w wait no more.
func (m *machine) withdraw(id ID, w *waiter) {
	k := id.key()
	m.mine[k] = slices.DeleteFunc(m.mine[k], func(o *waiter) bool { return o == w })
	if len(m.mine[k]) == 0 {
		delete(m.mine, k)
	}
}

func (m *machine) Deliver(k toolkit.Message, out toolkit.Out) {
	if len(k.Payload) == 0 {
		return
	}
	switch k.Payload[0] {
	case tagCommand:
		if id, command, ok := parseCommand(k.Payload); ok {
			m.apply(id, command)
		}
	case tagBarrier:
		var num uint64
		if _, ok := numbers(k.Payload, &num); ok && k.From == m.self {
			m.reads.passed(m, num, out)
		}
	}
}

func (m *machine) apply(id ID, command []byte) {
	m.position++
	var o outcome
	r, known := m.recall.find(id.key())
	switch {
	case known:
		o.result = r.result
	case id.Since < m.recall.floor:
		o.err = ErrForgotten
	default:
		o.result = m.app.Apply(command)
		m.recall.add(remembered{id.key(), m.position, o.result})
	}
	m.finish(id.key(), o)
}

func (m *machine) finish(k key, o outcome) {
	list := m.mine[k]
	delete(m.mine, k)
	for _, w := range list {
		w.done(o)
	}
}

func (m *machine) View(v toolkit.View, _ toolkit.Out) {
	m.away = v.Expelled
	switch {
	case v.Expelled:
		m.abandon()
	case v.Fresh && m.position > 0: // all who had a state have failed
		if err := m.app.Restore(bytes.NewReader(m.initial)); err != nil {
			panic(fmt.Sprintf("rsm: the application does not take its own initial state: %v", err))
		}
		m.position, m.recall = 0, newRecall()
	}
	m.self = v.Self
}

// abandon tells all who wait that this member's requests are void.
func (m *machine) abandon() {
	mine := m.mine
	m.mine = map[key][]*waiter{}
	for _, list := range mine {
		for _, w := range list {
			w.done(outcome{err: engine.ErrExpelled})
		}
	}
	m.reads.void(engine.ErrExpelled)
}

// Snapshot is the position, the table of results, and then the application's state.
func (m *machine) Snapshot() (io.ReadCloser, error) {
	app, err := m.app.Snapshot()
	if err != nil {
		return nil, err
	}
	head := m.recall.append(binary.LittleEndian.AppendUint64(nil, m.position))
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), app), app}, nil
}

func (m *machine) Restore(r io.Reader) error {
	in := bufio.NewReader(r)
	table := newRecall()
	table.limit = m.recall.limit
	var position uint64
	if err := readNumbers(in, &position); err != nil {
		return err
	}
	if err := table.read(in); err != nil {
		return err
	}
	if err := m.app.Restore(in); err != nil {
		return err
	}
	m.position, m.recall = position, table
	return nil
}
