// Package noise judges whether a machine was quiet enough for what was measured on
// it: what its host took away from it, and what other programs used.
package noise

import (
	"cmp"
	"fmt"
	"time"

	"cohort/internal/bench/kernel"
)

// From what on a machine is called noisy. Parts of all processors' time, in percent;
// the load is runnable processes for each core.
const (
	StealLimit  = 2.0
	OthersLimit = 10.0
	LoadLimit   = 0.5
)

// movedLimit is from how many times their least distance on the processors are taken for
// moved: again and again where they were, 48 to 81 ns have been measured.
const movedLimit = 2.0

// leastSpan is the processors' time that must have gone by for a judgement: the kernel
// counts in steps of 10 ms for each of them, which are too much of less.
const leastSpan = 500 * time.Millisecond

// Noise is what disturbed a measurement.
type Noise struct {
	StealPct   float64   `json:"steal_pct"`             // of the processors' time, taken by the machine's host
	OthersPct  float64   `json:"others_pct"`            // used by processes that are not the bench's; at least
	MeasuredS  float64   `json:"measured_s"`            // over how long, in seconds of all processors
	Cores      *Distance `json:"core_roundtrip_ns"`     // null if the system does not tell
	LoadBefore []float64 `json:"load_before,omitempty"` // load averages of 1, 5 and 15 minutes
	Noisy      bool      `json:"noisy"`
	Reasons    []string  `json:"reasons,omitempty"` // for people
}

// Distance is how long a cache line took from one processor to another and back, ns, each
// time that was looked at. The processors of a virtual machine may be moved by its host.
type Distance struct {
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// add returns both together; either may be nil.
func (d *Distance) add(o *Distance) *Distance {
	if d == nil || o == nil {
		return cmp.Or(d, o)
	}
	return &Distance{min(d.Least, o.Least), max(d.Most, o.Most)}
}

// Moved tells whether the processors were at different places. d may be nil.
func (d *Distance) Moved() bool { return d != nil && d.Most > movedLimit*d.Least }

// Span is the processors' time over a while, how much of it was the bench's own, and how
// far the processors were from each other.
type Span struct {
	Times kernel.Times
	Own   time.Duration
	Cores *Distance // nil: not known
}

// Add returns both spans together.
func (s Span) Add(o Span) Span {
	return Span{Times: s.Times.Add(o.Times), Own: s.Own + o.Own, Cores: s.Cores.add(o.Cores)}
}

// Judge returns the noise in a span. It is nil if the span is empty: then nothing
// is known. What short spans had taken from them is measured, but they are never called
// noisy for it.
func Judge(s Span) *Noise {
	total := s.Times.Total()
	if total <= 0 {
		return nil
	}
	n := &Noise{MeasuredS: total.Seconds(), Cores: s.Cores}
	if s.Cores.Moved() {
		n.add("the machine's processors were moved: %.0f to %.0f ns from one to another and back", s.Cores.Least, s.Cores.Most)
	}
	n.StealPct = percent(s.Times.Steal, total)
	// Some kernels charge interrupts to the process that they hit, some do not. Left
	// out, others are never charged for the bench's own.
	n.OthersPct = percent(s.Times.Busy-s.Own, total)
	if total < leastSpan {
		return n
	}
	if n.StealPct > StealLimit {
		n.add("the machine's host took %.1f %% of its processors' time (steal)", n.StealPct)
	}
	if n.OthersPct > OthersLimit {
		n.add("other processes used %.0f %% of the processors' time", n.OthersPct)
	}
	return n
}

// JudgeLoad adds what the load averages before the bench say.
func (n *Noise) JudgeLoad(load []float64, cores int) {
	n.LoadBefore = load
	if len(load) > 0 && load[0] > LoadLimit*float64(cores) {
		n.add("the load average before was %.2f on %d cores", load[0], cores)
	}
}

func (n *Noise) add(format string, args ...any) {
	n.Noisy = true
	n.Reasons = append(n.Reasons, fmt.Sprintf(format, args...))
}

// percent returns part of total. Clocks of different grain can make a part that is
// less than nothing or more than all.
func percent(part, total time.Duration) float64 {
	return 100 * min(max(part.Seconds()/total.Seconds(), 0), 1)
}

// Meter measures spans. Where the system does not tell, all its spans are empty.
type Meter struct {
	proc     string
	distance func() float64 // ns; 0: not known
}

// NewMeter returns a Meter that reads the proc file system mounted there, and asks distance
// how far the processors are from each other: as [kernel.Distance].
func NewMeter(proc string, distance func() float64) *Meter { return &Meter{proc, distance} }

// Mark is when a span begins.
type Mark struct {
	times kernel.Times
	cores *Distance
	known bool
}

// Begin marks the beginning of a span.
func (m *Meter) Begin() Mark {
	cores := m.cores()
	t, err := kernel.Processors(m.proc)
	return Mark{times: t, cores: cores, known: err == nil}
}

// End returns the span since the mark, in which the bench itself took own.
func (m *Meter) End(begin Mark, own time.Duration) Span {
	t, err := kernel.Processors(m.proc)
	if err != nil || !begin.known {
		return Span{}
	}
	return Span{Times: t.Since(begin.times), Own: own, Cores: begin.cores.add(m.cores())}
}

func (m *Meter) cores() *Distance {
	if ns := m.distance(); ns > 0 {
		return &Distance{ns, ns}
	}
	return nil
}

// Load returns the load averages of 1, 5 and 15 minutes; nil if they are not known.
func (m *Meter) Load() []float64 {
	l, err := kernel.Load(m.proc)
	if err != nil {
		return nil
	}
	return l
}
