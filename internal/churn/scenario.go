// Package churn is the simulator of views that change: processes join, leave,
// crash, stall and are cut off while messages of every level are under way, and a
// checker that knows everything holds what each one sees against the named
// properties of virtual synchrony. It runs the very sites that a network runs.
// Package sim does the same, in more depth, for a view that stays.
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
// run at that time.
const (
	Send  Kind = iota // Who sends Count messages of Size bytes at Level
	Crash             // Who dies; Count others with it, at the same instant
	Stall             // Who stands still for For ns
	Cut               // those whose bit is in Side and the others do not hear each other for For ns
	Leave             // Who leaves
	Join              // a new process comes
)

var kindNames = [...]string{"send", "crash", "stall", "cut", "leave", "join"}

// Op is one thing that happens in a scenario.
type Op struct {
	At    int64 // ns since the run began
	Kind  Kind
	Who   int
	Count int
	Level order.Level
	Size  int
	For   int64
	Side  uint64
}

func (o Op) String() string {
	at := time.Duration(o.At)
	switch o.Kind {
	case Send:
		return fmt.Sprintf("%v %d sends %d x %d B %v", at, o.Who, o.Count, o.Size, o.Level)
	case Cut:
		return fmt.Sprintf("%v cut %b for %v", at, o.Side, time.Duration(o.For))
	case Stall:
		return fmt.Sprintf("%v %d stalls for %v", at, o.Who, time.Duration(o.For))
	}
	return fmt.Sprintf("%v %d: %s (%d)", at, o.Who, kindNames[o.Kind], o.Count)
}

// Scenario is everything that a run depends on.
type Scenario struct {
	Seed    uint64
	Members int  // of the first view
	Lone    bool // members go on without a majority
	Timeout int64
	Delay   int64
	Jitter  int64
	Loss    float64 // of packets, as long as the faults last; letters are not lost
	Dup     float64
	Calm    int64 // when faults end
	Ops     []Op
}

func (s Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d members, timeout %v, delay %v+%v, loss %g, dup %g, calm after %v\n", s.Seed, s.Members,
		time.Duration(s.Timeout), time.Duration(s.Delay), time.Duration(s.Jitter), s.Loss, s.Dup, time.Duration(s.Calm))
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
	slices.SortStableFunc(s.Ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
	return s
}

// ambush starts a flush, and hits its leader and one more in the middle of one of
// its phases, each of which takes as long as the link's delay.
func (d dice) ambush(s *Scenario) {
	s.Members, s.Jitter = 3+d.IntN(3), 0
	s.Calm = max(s.Calm, 8*s.Timeout)
	at := s.Timeout + d.Int64N(s.Timeout)
	s.Ops = append(s.Ops, Op{At: at, Kind: pick(d, []Kind{Crash, Leave, Join}), Who: s.Members - 1})
	for _, who := range []int{0, d.IntN(s.Members)} {
		o := Op{At: at + d.Int64N(8*s.Delay), Kind: pick(d, []Kind{Crash, Crash, Stall, Cut}), Who: who}
		o.For, o.Side = s.Timeout+d.Int64N(2*s.Timeout), 1<<who
		s.Ops = append(s.Ops, o)
	}
}

func (d dice) fault(s Scenario) Op {
	o := Op{At: d.Int64N(s.Calm), Who: d.IntN(8)}
	switch d.IntN(10) {
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
