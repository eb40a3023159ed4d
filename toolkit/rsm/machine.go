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
	// ErrForgotten: the group does not know whether the proposal has been applied before. It
	// is too old, or its ID was drawn in a history that was lost when all members failed.
	// It was not applied now.
	ErrForgotten = errors.New("it is not known any more whether the proposal has been applied")

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
	disk  *disk // nil: memory is enough
}

// waiter is somebody who waits for what comes of a proposal.
type waiter struct{ done func(outcome) }

// outcome is what becomes of a proposal: its result, or ErrForgotten, engine.ErrExpelled.
type outcome struct {
	result []byte
	err    error
}

func newMachine(app Application) (*machine, error) {
	if app == nil {
		return nil, fmt.Errorf("rsm: %w: the application is nil", engine.ErrConfig)
	}
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

// ready tells whether commands can be sent.
func (m *machine) ready() bool {
	return !m.away && (m.disk == nil || m.disk.running && !m.disk.surplus)
}

// propose sends a command, and has w told once what comes of it: at once, if that is
// known already.
func (m *machine) propose(id ID, command []byte, out toolkit.Out, w *waiter) {
	if r, ok := m.recall.find(id.key()); ok {
		m.tell(r.position, w, outcome{result: r.result})
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
	switch b := k.Payload; b[0] {
	case tagCommand:
		m.apply(b)
	case tagBarrier:
		var num uint64
		if _, ok := numbers(b, &num); ok && k.From == m.self {
			m.reads.passed(m, num, out)
		}
	case tagHave:
		m.heardHave(k.From, b, out)
	case tagPromised:
		m.heardPromised(k.From, b, out)
	case tagSeed:
		m.heardSeed(k.From, b, out)
	case tagSynced:
		m.heardSynced(k.From, b)
	}
}

func (m *machine) apply(message []byte) {
	id, command, ok := parseCommand(message)
	if !ok || m.disk != nil && !m.disk.running {
		return
	}
	o := m.execute(id, command)
	m.keep(message)
	list := m.mine[id.key()]
	delete(m.mine, id.key())
	for _, w := range list {
		m.tell(m.position, w, o)
	}
}

// execute applies a command, if it has not been. One whose ID comes from ahead would be
// applied again once it is forgotten, for the floor would be below its Since.
func (m *machine) execute(id ID, command []byte) (o outcome) {
	m.position++
	r, known := m.recall.find(id.key())
	switch {
	case known:
		o.result = r.result
	case id.Since < m.recall.floor, id.Since >= m.position: // an ID of this history is below
		o.err = ErrForgotten
	default:
		o.result = m.app.Apply(command)
		m.recall.add(remembered{id.key(), m.position, o.result})
	}
	return o
}

// tell tells w, once all up to the position is durable.
func (m *machine) tell(position uint64, w *waiter, o outcome) {
	m.whenDurable(position, func(err error) {
		if err != nil {
			o = outcome{err: err}
		}
		w.done(o)
	})
}

func (m *machine) View(v toolkit.View, out toolkit.Out) {
	m.away, m.self = v.Expelled, v.Self
	switch {
	case v.Expelled:
		m.abandon()
	case m.disk == nil && v.Fresh && m.position > 0: // all who had a state have failed
		if err := m.app.Restore(bytes.NewReader(m.initial)); err != nil {
			panic(fmt.Sprintf("rsm: the application does not take its own initial state: %v", err))
		}
		m.position, m.recall = 0, newRecall()
	}
	if m.disk != nil {
		m.diskView(v, out)
	}
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
	if m.disk != nil {
		held := m.disk.held
		m.disk.held = nil
		for _, h := range held {
			h.done(engine.ErrExpelled)
		}
	}
}

// Snapshot is what the members know of the disks, if there are any, and the state, if the
// group is running.
func (m *machine) Snapshot() (io.ReadCloser, error) {
	if m.disk == nil {
		return m.state()
	}
	head := bytes.NewReader(m.disk.appendGroup(nil))
	if !m.disk.running {
		return io.NopCloser(head), nil
	}
	state, err := m.state()
	return reader{io.MultiReader(head, state), state}, err
}

// reader reads one thing and closes another.
type reader struct {
	io.Reader
	io.Closer
}

// state is the position, the table of results, and then the application's state.
func (m *machine) state() (io.ReadCloser, error) {
	app, err := m.app.Snapshot()
	if err != nil {
		return nil, err
	}
	head := m.recall.append(binary.LittleEndian.AppendUint64(nil, m.position))
	return reader{io.MultiReader(bytes.NewReader(head), app), app}, nil
}

// bytes is the state at once.
func (m *machine) bytes() ([]byte, error) {
	r, err := m.state()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (m *machine) Restore(r io.Reader) error {
	in := bufio.NewReader(r)
	if m.disk != nil {
		if err := m.disk.readGroup(in); err != nil || !m.disk.running {
			return err
		}
	}
	return m.take(in)
}

// take replaces the state by what state has streamed.
func (m *machine) take(in *bufio.Reader) error {
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
