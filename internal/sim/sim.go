// Package sim runs the protocol machines of all members of one view in a world
// that it owns: virtual time, a bad network, pauses, slow consumers. One seed
// decides everything, so a run that goes wrong is reported by its seed and runs
// again exactly. While it runs, a History holds what every member does against
// the named properties of virtual synchrony (see Properties).
//
// The habit is that of FoundationDB's and TigerBeetle's simulators: faults from
// the first nanosecond, and once they stop, everything sent must arrive.
package sim

import (
	"fmt"
	"math"
	"net/netip"
	"runtime/debug"
	"time"

	"cohort/core"
	"cohort/internal/flaw"
	"cohort/membership"
)

// Result is what one run came to.
type Result struct {
	Violation *Violation // nil if every property held
	Time      int64      // virtual ns that passed
	Late      int64      // virtual ns from the end of faults and operations to the last delivery
	Messages  int        // messages submitted, without those aborted
	Delivered int        // deliveries, over all members
	Aborted   int        // messages aborted
	Turns     int        // turns of machines
	Packets   int        // packets sent; a multicast counts once
	Lost      int        // packets that the network lost or cut, per receiver
	Overrun   int        // packets that a full socket buffer dropped
	Memory    int        // most slab memory in use at one member, bytes
	Stats     []core.Stats
	Digest    uint64 // over all deliveries in order: equal for equal runs
}

// The phases of a run after its faults, virtual ns. Limit is generous: a run
// that needs it is broken, and one that does not costs nothing.
const (
	limit   = int64(20 * time.Second) // for anything to be delivered or submitted
	settle  = int64(2 * time.Second)  // for the last acknowledgements
	listen  = int64(2 * time.Second)  // how long Quiet counts packets
	started = int64(time.Hour)        // when runs begin: not 0, as no clock is
)

// A world is one run.
type world struct {
	s       Scenario
	flaws   flaw.Set
	now     int64
	events  queue
	members []*member
	links   []link // of each pair, sender first
	h       *History
	trace   *Trace
	res     Result
	opsLeft int
	moved   int64 // when a message was last delivered, submitted in part, or sent with none owed
	strays  map[strayKey]*stranger
	sent    []int // packets per member since Quiet began to listen
	turns   []int // turns per member since then
}

// Run runs a scenario to its end or to the first violation. The trace may be nil.
func Run(s Scenario, flaws flaw.Set, t *Trace) Result {
	w := &world{s: s, flaws: flaws, strays: map[strayKey]*stranger{}, now: started, trace: t, opsLeft: len(s.Ops)}
	w.h = NewHistory(s.Members, func() int64 { return w.now })
	if s.Forge > 0 {
		w.h.only = "NoPanic"
	}
	if err := w.build(); err != nil {
		w.h.fail("Scenario", 0, "%v", err)
		return Result{Violation: w.h.violation}
	}
	w.run()
	w.finish()
	return w.res
}

func (w *world) build() error {
	w.links = makeLinks(w.s)
	w.sent, w.turns = make([]int, w.s.Members), make([]int, w.s.Members)
	v := view(w.s, 1)
	for i := range w.s.Members {
		m, err := newMember(w, v, i)
		if err != nil {
			return err
		}
		w.members = append(w.members, m)
		w.wake(m, w.now)
	}
	for i, op := range w.s.Ops {
		w.events.push(event{at: started + op.At, kind: operation, op: i})
	}
	return nil
}

// view makes the view of a scenario; another number makes a foreign one.
func view(s Scenario, num uint64) membership.View {
	v := membership.View{Num: num}
	addr := netip.MustParseAddrPort("10.0.0.1:1")
	if s.Local {
		addr = netip.MustParseAddrPort("127.0.0.1:1")
	}
	for i := range s.Members {
		v.Members = append(v.Members, membership.Member{
			ID: uint64(1000 + i), Since: int64(i), Name: fmt.Sprintf("m%d", i), Addr: addr,
			RecvBuffer: uint32(s.RecvBuffer), Segment: uint16(s.Segment),
		})
	}
	return v
}

// run steps through events until all is delivered and acknowledged, a property
// is violated, or nothing has moved for too long.
func (w *world) run() {
	faults := started + max(w.s.Calm, w.s.lastOp())
	idle := limit
	if w.s.Forge > 0 { // liveness is not asked for
		idle = limit / 100
	}
	const never = math.MaxInt64 - listen
	quiet := never // when Quiet starts to listen
	for w.h.violation == nil {
		at := w.events.next()
		if quiet == never && w.opsLeft == 0 && w.h.owed == 0 && w.now >= started+w.s.Calm {
			quiet = w.now + settle
			if w.trace != nil && !w.trace.Idle {
				w.trace = nil
			}
		}
		if end := min(max(faults, w.moved)+idle, quiet+listen); at > end {
			w.now = end
			return
		}
		if w.now < quiet && at >= quiet {
			w.checkReleased()
			clear(w.sent)
			clear(w.turns)
		}
		w.now = at
		w.step(w.events.pop())
	}
}

// step does what an event asks for. A panic is a violation like others, so that
// its scenario can be shrunk.
func (w *world) step(e event) {
	defer func() {
		if p := recover(); p != nil {
			w.h.fail("NoPanic", e.member, "%v\n%s", p, debug.Stack())
		}
	}()
	switch e.kind {
	case arrival:
		w.arrive(w.members[e.member], e.packet)
	case turn:
		if m := w.members[e.member]; m.turnAt == e.at {
			m.turn()
		}
	case operation:
		w.opsLeft--
		w.operate(w.s.Ops[e.op])
	}
}

// operate does what the scenario asks for at this time.
func (w *world) operate(op Op) {
	m := w.members[op.Member]
	until := w.now + op.For
	if w.trace != nil {
		w.trace.add(w.now, op.Member, "%s", op.what())
	}
	switch op.Kind {
	case Send:
		if w.h.owed == 0 {
			w.moved = w.now
		}
		for range op.Count {
			m.queue = append(m.queue, w.h.Accept(op.Member, op))
		}
		w.wake(m, w.now)
	case Pause:
		m.pausedUntil = max(m.pausedUntil, until)
	case Slow:
		m.slowUntil = max(m.slowUntil, until)
	case Cut:
		l := w.link(op.Member, op.Peer)
		l.cutUntil = max(l.cutUntil, until)
	case Stray:
		w.stray(op)
	}
}

// wake makes sure that m has a turn at the given time or, if it is busy or
// paused then, as soon as it can.
func (w *world) wake(m *member, at int64) {
	at = max(at, w.now, m.busyUntil, m.pausedUntil)
	if m.turnAt > at {
		m.turnAt = at
		w.events.push(event{at: at, kind: turn, member: m.rank})
	}
}

// finish holds what the run left behind against the properties of a finished
// run.
func (w *world) finish() {
	w.h.end()
	for _, m := range w.members {
		w.res.Stats = append(w.res.Stats, m.m.Stats())
	}
	if w.h.violation == nil {
		w.checkQuiet()
		w.checkOverrun()
		w.checkKept()
		w.checkUnderstood()
	}
	w.res.Violation, w.res.Time = w.h.violation, w.now-started
	w.res.Messages, w.res.Aborted, w.res.Delivered = w.h.submitted, w.h.aborted, w.h.delivered
	w.res.Late = max(0, w.h.last-started-max(w.s.Calm, w.s.lastOp()))
	w.res.Digest = w.h.digest.Sum64()
}
