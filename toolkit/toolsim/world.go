// Package toolsim runs a tool's machines in a group that keeps the engine's promises and
// nothing beyond: each step takes one of all things that may happen next, at random by a
// seed. Messages arrive late, are delivered in any order that their levels allow, and
// members fail, are expelled, leave and join at any moment. Protocols under the engine
// have a simulator of their own; this one is for what stands on them.
package toolsim

import (
	"fmt"
	"math/rand/v2"

	"cohort/toolkit"
)

// Config says what a World is to do.
type Config[M toolkit.Machine] struct {
	Members int      // at the start; at least 1
	Make    func() M // a member's machine, before it joins

	// Act has a member do what its program would: choose at random with w.Rand, and use
	// m.Do. It is called for a random member in about every eighth step.
	Act func(w *World[M], m *Member[M])

	// Faults is how many steps there are, on average, between a member's failing, being
	// expelled, leaving or joining. 0: none does.
	Faults int

	// Check is called after each step: what does not hold ends the run.
	Check func(w *World[M]) error
}

// World is one group, from its beginning.
type World[M toolkit.Machine] struct {
	Rand *rand.Rand

	cfg     Config[M]
	all     []*Member[M] // that there ever were, by ID: the first has 1
	log     []*packet[M] // the total order
	settled bool         // nothing fails or begins any more
	trace   []string
}

// Member is a member of the group, until it fails or leaves.
type Member[M toolkit.Machine] struct {
	ID      uint64
	Machine M

	w        *World[M]
	standing standing
	view     toolkit.View
	sent     []*packet[M]
	placed   int            // of sent, how many the total order has been asked for
	received map[uint64]int // how many packets of each sender it has
	got      map[uint64]int // and has delivered
	at       int            // place in the total order
	leaving  bool
	left     bool // it has left in good order
	failed   bool // it has failed, and the others do not know; or they have expelled it
	mute     bool // and nothing of it arrives any more
}

type standing int

const (
	coming standing = iota // it has asked to join
	in
	gone
)

// packet is a message, or the joining or leaving of a member.
type packet[M toolkit.Machine] struct {
	from    *Member[M]
	num     int // in its sender's stream
	message toolkit.Message
	past    map[uint64]int // of each sender: what its sender had delivered
	joins   *Member[M]
	leaves  bool
	states  []state // where a member joins: of those who have come so far
}

// state is what a member can give one who joins.
type state struct {
	bytes []byte
	got   map[uint64]int
	view  toolkit.View
	by    uint64
}

// New returns a group in which all are members of one view.
func New[M toolkit.Machine](seed uint64, cfg Config[M]) (*World[M], error) {
	w := &World[M]{Rand: rand.New(rand.NewPCG(seed, 0)), cfg: cfg, settled: true}
	first := w.newMember(cfg.Make())
	first.standing = in
	first.enter(nil, true)
	for range cfg.Members - 1 {
		w.join(cfg.Make())
	}
	err := w.Settle()
	w.settled = false
	return w, err
}

func (w *World[M]) newMember(machine M) *Member[M] {
	m := &Member[M]{ID: uint64(len(w.all) + 1), Machine: machine, w: w, received: map[uint64]int{}, got: map[uint64]int{}}
	w.all = append(w.all, m)
	return m
}

// Members lists who is in the group and has not failed, the oldest first.
func (w *World[M]) Members() (list []*Member[M]) {
	for _, m := range w.all {
		if m.standing == in && !m.failed {
			list = append(list, m)
		}
	}
	return list
}

// group lists who is in the group, as far as the others know.
func (w *World[M]) group() (list []*Member[M]) {
	for _, m := range w.all {
		if m.standing == in {
			list = append(list, m)
		}
	}
	return list
}

// View returns the group's view that the member is in.
func (m *Member[M]) View() toolkit.View { return m.view }

// Do has the member's program use its machine, and sends what f puts out.
func (m *Member[M]) Do(f func(machine M, out toolkit.Out)) {
	o := &outbox[M]{m: m}
	f(m.Machine, o)
	o.flush()
}

// Trace is what has happened last, for people.
func (w *World[M]) Trace() []string { return w.trace }

// Note adds a line to the trace.
func (w *World[M]) Note(format string, args ...any) {
	const keep = 400
	if len(w.trace) >= keep {
		w.trace = append(w.trace[:0], w.trace[keep/2:]...)
	}
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// Run takes steps. An error is Check's.
func (w *World[M]) Run(steps int) error {
	for range steps {
		w.step()
		if err := w.check(); err != nil {
			return err
		}
	}
	return nil
}

func (w *World[M]) check() error {
	if w.cfg.Check == nil {
		return nil
	}
	return w.cfg.Check(w)
}

// Settle lets all that is under way arrive, and nobody begin or fail. An error is
// Check's, or says that machines send each other messages without end.
func (w *World[M]) Settle() error {
	was := w.settled
	w.settled = true
	defer func() { w.settled = was }()
	const limit = 1_000_000
	for range limit {
		if w.anyFailed() {
			w.flush()
		}
		if !w.move() {
			return nil
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	return fmt.Errorf("toolsim: the group has not come to rest after %d steps", limit)
}

func (w *World[M]) step() {
	switch {
	case w.anyFailed() && w.Rand.IntN(20) == 0:
		w.flush()
	case w.cfg.Faults > 0 && w.Rand.IntN(w.cfg.Faults) == 0:
		w.fault()
	case w.cfg.Act != nil && w.Rand.IntN(8) == 0:
		list := w.Members()
		w.cfg.Act(w, list[w.Rand.IntN(len(list))])
	default:
		w.move()
	}
}

func (w *World[M]) anyFailed() bool {
	for _, m := range w.all {
		if m.standing == in && m.failed {
			return true
		}
	}
	return false
}
