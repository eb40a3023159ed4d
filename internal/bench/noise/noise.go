// Package noise judges whether a machine was quiet enough for what was measured on
// it: what its host took away from it, and what other programs used.
package noise

import (
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

// leastSpan is the processors' time that must have gone by for a judgement: the kernel
// counts in steps of 10 ms for each of them, which are too much of less.
const leastSpan = 500 * time.Millisecond

// Noise is what disturbed a measurement.
type Noise struct {
	StealPct   float64   `json:"steal_pct"`             // of the processors' time, taken by the machine's host
	OthersPct  float64   `json:"others_pct"`            // used by processes that are not the bench's; at least
	MeasuredS  float64   `json:"measured_s"`            // over how long, in seconds of all processors
	LoadBefore []float64 `json:"load_before,omitempty"` // load averages of 1, 5 and 15 minutes
	Noisy      bool      `json:"noisy"`
	Reasons    []string  `json:"reasons,omitempty"` // for people
}

// Span is the processors' time over a while, and how much of it was the bench's own.
type Span struct {
	Times kernel.Times
	Own   time.Duration
}

// Add returns both spans together.
func (s Span) Add(o Span) Span { return Span{Times: s.Times.Add(o.Times), Own: s.Own + o.Own} }

// Judge returns the noise in a span. It is nil if the span is empty: then nothing
// is known. Short spans are measured, but never called noisy.
func Judge(s Span) *Noise {
	total := s.Times.Total()
	if total <= 0 {
		return nil
	}
	n := &Noise{MeasuredS: total.Seconds()}
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
type Meter struct{ proc string }

// NewMeter returns a Meter that reads the proc file system mounted there.
func NewMeter(proc string) *Meter { return &Meter{proc} }

// Mark is when a span begins.
type Mark struct {
	times kernel.Times
	known bool
}

// Begin marks the beginning of a span.
func (m *Meter) Begin() Mark {
	t, err := kernel.Processors(m.proc)
	return Mark{times: t, known: err == nil}
}

// End returns the span since the mark, in which the bench itself took own.
func (m *Meter) End(begin Mark, own time.Duration) Span {
	t, err := kernel.Processors(m.proc)
	if err != nil || !begin.known {
		return Span{}
	}
	return Span{Times: t.Since(begin.times), Own: own}
}

// Load returns the load averages of 1, 5 and 15 minutes; nil if they are not known.
func (m *Meter) Load() []float64 {
	l, err := kernel.Load(m.proc)
	if err != nil {
		return nil
	}
	return l
}
