// Package churn is the simulator of views that change: processes find each other,
// form rings, join and leave them, crash, stall, are cut off and come back while
// messages of every level are under way, and a checker that knows everything holds
// what each one sees against the named properties of virtual synchrony. It runs the
// very processes that a network runs. Package sim does the same, in more depth, for
// a view that stays.
package churn

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"cohort/order"
)

const (
	micro = int64(time.Microsecond)
	milli = int64(time.Millisecond)
)

// Kind is what an operation does.
type Kind uint8

// Kinds of operations. Who they are about is an index into the processes that
// run at that time; for Send, Leave, Enter and Exit, into those that are in a view.
const (
	Send    Kind = iota // Who sends Count messages of Size bytes at Level
	Crash               // Who dies; Count others with it, at the same instant
	Stall               // Who stands still for For ns
	Cut                 // those whose bit is in Side and the others do not hear each other for For ns
	Leave               // Who leaves
	Join                // a new process comes
	Restart             // Who dies, or all if Count is not 0, and is started again after For ns
	Enter               // Who joins a second group
	Exit                // Who leaves it
)

var kindNames = [...]string{"send", "crash", "stall", "cut", "leave", "join", "restart", "enter", "exit"}

// Op is one thing that happens in a scenario.
type Op struct {
	At    int64 // ns since the run began
	Kind  Kind
	Who   int
	Count int
	Level order.Level
	Size  int
	Group int // of groupNames
	For   int64
	Side  uint64
}

func (o Op) String() string {
	at := time.Duration(o.At)
	switch o.Kind {
	case Send:
		return fmt.Sprintf("%v %d sends %d x %d B %v to %q", at, o.Who, o.Count, o.Size, o.Level, groupNames[o.Group])
	case Cut:
		return fmt.Sprintf("%v cut %b for %v", at, o.Side, time.Duration(o.For))
	case Stall:
		return fmt.Sprintf("%v %d stalls for %v", at, o.Who, time.Duration(o.For))
	case Restart:
		return fmt.Sprintf("%v %d restarts after %v (%d)", at, o.Who, time.Duration(o.For), o.Count)
	}
	return fmt.Sprintf("%v %d: %s (%d)", at, o.Who, kindNames[o.Kind], o.Count)
}

// Scenario is everything that a run depends on.
type Scenario struct {
	Seed      uint64
	Members   int   // processes that start at the beginning
	Expect    int   // how many they are told to be: see process.Config
	Discovery int64 // likewise
	Formed    int64 // when they are in a view, if nothing keeps them from it
	Lone      bool  // members go on without a majority
	Timeout   int64
	Delay     int64
	Jitter    int64
	Loss      float64 // of packets, as long as the faults last; letters are not lost
	Dup       float64
	Calm      int64 // when faults end
	Transfer  int64 // how long a state is under way at most
	Slow      int64 // how long a program keeps a process from its next turn, after each message, at most; 0: it takes many in one turn
	Ops       []Op
}

func (s Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d processes, %d expected, formed after %v, timeout %v, delay %v+%v, loss %g, dup %g, calm after %v\n",
		s.Seed, s.Members, s.Expect, time.Duration(s.Formed), time.Duration(s.Timeout), time.Duration(s.Delay), time.Duration(s.Jitter),
		s.Loss, s.Dup, time.Duration(s.Calm))
	for _, o := range s.Ops {
		fmt.Fprintln(&b, " ", o)
	}
	return b.String()
}

var levels = []order.Level{
	order.FIFO, order.Causal, order.Total,
	order.FIFO.Safe(), order.Causal.Safe(), order.Total.Safe(),
	order.Causal.SafeAll(), order.Total.SafeAll(),
}

type dice struct{ *rand.Rand }

func pick[T any](d dice, from []T) T { return from[d.IntN(len(from))] }

// chance is true one time in n.
func (d dice) chance(n int) bool { return d.IntN(n) == 0 }

// Generate makes the scenario of a seed.
func Generate(seed uint64) Scenario {
	d := dice{rand.New(rand.NewPCG(seed, 0xc4e21))}
	s := Scenario{
		Seed: seed, Members: 1 + d.IntN(7), Timeout: pick(d, []int64{10, 20, 50}) * milli,
		Delay: 20*micro + d.Int64N(200*micro), Calm: (20 + d.Int64N(200)) * milli,
	}
	if d.chance(2) {
		s.Jitter = pick(d, []int64{50 * micro, 500 * micro, 2 * milli})
	}
	if d.chance(2) {
		s.Loss = pick(d, []float64{0.01, 0.1, 0.2})
	}
	if d.chance(4) {
		s.Dup = 0.1
	}
	switch {
	case d.chance(3):
		d.ambush(&s)
	default:
		for range 1 + d.IntN(6) {
			s.Ops = append(s.Ops, d.fault(s))
		}
		if d.chance(3) { // a cascade: faults one on the heels of the other
			at := s.Ops[0].At
			for i := range s.Ops {
				at += d.Int64N(4 * s.Delay)
				s.Ops[i].At = at
			}
		}
	}
	s.Ops = append(s.Ops, d.workload(s)...)
	d.beginning(&s)
	d.inGroups(&s)
	if d.chance(12) {
		d.duel(&s)
	}
	slices.SortStableFunc(s.Ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
	return s
}

// How long it takes to form a first view, ns: see package process.
const (
	allHeard = 100 * milli // if all that are expected are there
	enough   = 650 * milli // if a majority is
)

// beginning says how the first view comes about. Mostly the faults wait for it.
func (d dice) beginning(s *Scenario) {
	s.Expect, s.Formed, s.Discovery = s.Members, allHeard, pick(d, []int64{100, 250})*milli
	if s.Members == 1 {
		s.Expect, s.Formed = d.IntN(2), s.Discovery+20*milli
	}
	faults := len(s.Ops)
	switch d.IntN(12) {
	case 0: // a majority starts, and the rest later
		if s.Expect = s.Members + d.IntN(s.Members); s.Expect > s.Members {
			s.Formed = enough
		}
		for range s.Expect - s.Members {
			s.Ops = append(s.Ops, Op{At: d.Int64N(s.Formed + s.Calm), Kind: Join})
		}
	case 1: // nobody expects anybody
		s.Expect, s.Formed = 0, s.Discovery+50*milli
		for range d.IntN(4) {
			s.Ops = append(s.Ops, Op{At: d.Int64N(s.Formed), Kind: Join})
		}
	case 2: // and those who start cannot hear each other: their rings meet
		s.Expect, s.Formed = 0, s.Discovery+50*milli
		s.Ops = append(s.Ops, Op{Kind: Cut, Side: 1 + d.Uint64()&0x7e, For: s.Formed + d.Int64N(s.Calm)})
	case 3: // the faults hit those who are about to form it
		if d.chance(2) {
			for i := range s.Ops {
				s.Ops[i].At -= s.Formed / 2
			}
		}
		s.Formed = enough
		s.Ops = append(s.Ops, Op{At: 50*milli + d.Int64N(40*milli), Kind: pick(d, []Kind{Crash, Stall, Restart}), Who: d.IntN(2), For: d.Int64N(200 * milli)})
	}
	for i := range s.Ops[:faults] {
		s.Ops[i].At = max(0, s.Ops[i].At+s.Formed)
	}
	s.Calm += s.Formed
}

// duel has a leader stop in the middle of a flush and come back just when another has
// begun to lead: both then have the members' answers to what they ask.
func (d dice) duel(s *Scenario) {
	s.Members = 3 + d.IntN(3)
	s.Expect, s.Jitter = s.Members, 0
	s.Timeout, s.Delay = 10*milli, 200*micro+d.Int64N(800*micro)
	s.Calm = max(s.Calm, s.Formed+8*s.Timeout)
	s.Ops = slices.DeleteFunc(s.Ops, func(o Op) bool { return o.Kind != Send })
	at := s.Formed + s.Timeout + d.Int64N(s.Timeout)
	s.Ops = append(s.Ops, Op{At: at, Kind: pick(d, []Kind{Crash, Leave}), Who: s.Members - 1},
		Op{At: at + d.Int64N(4*s.Delay), Kind: pick(d, []Kind{Stall, Cut}), Side: 1, For: s.Timeout*3/4 + d.Int64N(s.Timeout/4+8*s.Delay)})
}

// inGroups has messages go to groups, and processes in and out of the second one.
func (d dice) inGroups(s *Scenario) {
	s.Transfer = pick(d, []int64{0, s.Delay, s.Timeout / 2, 3 * s.Timeout})
	for i := range s.Ops {
		s.Ops[i].Group = d.IntN(len(groupNames))
	}
	for range d.IntN(6) {
		o := Op{At: d.Int64N(s.Calm), Kind: pick(d, []Kind{Enter, Enter, Exit}), Who: d.IntN(8)}
		if d.chance(2) { // in the middle of something
			o.At = max(0, pick(d, s.Ops).At+d.Int64N(8*s.Delay)-4*s.Delay)
		}
		s.Ops = append(s.Ops, o)
	}
}

// ambush starts a flush, and hits its leader and one more in the middle of one of
// its phases, each of which takes as long as the link's delay.
func (d dice) ambush(s *Scenario) {
	s.Members, s.Jitter = 3+d.IntN(3), 0
	if d.chance(2) { // so that a phase takes about as long as it is uncertain when a suspicion comes
		s.Timeout, s.Delay = 10*milli, 200*micro+d.Int64N(800*micro)
	}
	s.Calm = max(s.Calm, 8*s.Timeout)
	at := s.Timeout + d.Int64N(s.Timeout)
	first := Op{At: at, Kind: pick(d, []Kind{Crash, Leave, Join}), Who: s.Members - 1}
	s.Ops = append(s.Ops, first)
	if first.Kind == Join { // until it hears the ring
		at += d.Int64N(25 * milli)
	}
	for _, who := range []int{0, d.IntN(s.Members)} {
		o := Op{At: at + d.Int64N(8*s.Delay), Kind: pick(d, []Kind{Crash, Crash, Stall, Cut}), Who: who}
		o.For, o.Side = s.Timeout+d.Int64N(2*s.Timeout), 1<<who
		if d.chance(2) { // back when another has just begun to lead
			o.For = s.Timeout*3/4 + d.Int64N(s.Timeout/4+8*s.Delay)
		}
		s.Ops = append(s.Ops, o)
	}
}

func (d dice) fault(s Scenario) Op {
	o := Op{At: d.Int64N(s.Calm), Who: d.IntN(8)}
	switch d.IntN(11) {
	case 0, 1, 2:
		o.Kind = Crash
		if d.chance(5) {
			o.Count = 1
		}
		if d.chance(3) {
			o.Who = 0 // the leader, who also holds the token at first
		}
	case 3, 4:
		o.Kind, o.Side = Cut, d.Uint64()&0xff
		o.For = pick(d, []int64{s.Timeout / 2, 2 * s.Timeout, 5 * s.Timeout})
		if d.chance(2) {
			o.Side = 1 << d.IntN(8)
		}
	case 5:
		o.Kind = Stall
		o.For = pick(d, []int64{s.Timeout / 2, 3 * s.Timeout})
	case 6, 7:
		o.Kind = Leave
	case 8:
		o.Kind = Restart
		o.For = d.Int64N(5 * s.Timeout)
		if d.chance(3) {
			o.Count = 1
		}
	default:
		o.Kind = Join
	}
	return o
}

// workload sends around the times of the faults, most of all.
func (d dice) workload(s Scenario) (ops []Op) {
	some := []order.Level{pick(d, levels), pick(d, levels), pick(d, levels)}
	for range 5 + d.IntN(60) {
		o := Op{At: d.Int64N(s.Calm), Kind: Send, Who: d.IntN(8), Count: 1, Level: pick(d, some), Size: d.IntN(200)}
		if len(s.Ops) > 0 && d.chance(2) {
			o.At = max(0, pick(d, s.Ops).At+d.Int64N(8*s.Delay)-4*s.Delay)
		}
		switch d.IntN(12) {
		case 0:
			o.Size = d.IntN(20000)
		case 1:
			o.Count = 1 + d.IntN(100)
		}
		ops = append(ops, o)
	}
	return ops
}
