package course

import (
	"errors"
	"fmt"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
)

// ErrNothing says that too little was delivered to measure anything, which breaks no promise
// of raw's, and of others not if it was a single message.
var ErrNothing = errors.New("nothing to measure")

// Figures is what all members measured of one phase.
type Figures struct {
	Sent    uint64 // by all senders
	Members []member.Measured
	hosts   []string // that they are on; nil: all on one
}

// Speed tells how fast messages of size bytes were delivered. It returns
// ErrNothing if a member delivered less than two.
func (f *Figures) Speed(size int) (s result.Speed, err error) {
	least, counted := f.Sent, f.Sent
	var cpu time.Duration
	for i, m := range f.Members {
		took, count := time.Duration(m.Last-m.First), m.Delivered-m.Warm
		if count == 0 && m.Delivered > 1 {
			return s, fmt.Errorf("member %d delivered %d of %d messages, all of them in the warm-up, which a longer --duration leaves behind: %w", i, m.Delivered, f.Sent, ErrNothing)
		}
		if count == 0 || took <= 0 {
			return s, fmt.Errorf("member %d delivered %d of %d messages in %v: %w", i, m.Delivered, f.Sent, took, ErrNothing)
		}
		rate := float64(count) / took.Seconds()
		s.MemberRates = append(s.MemberRates, rate)
		if s.MsgsPerS == 0 || rate < s.MsgsPerS {
			s.MsgsPerS = rate
		}
		least, counted = min(least, m.Delivered), min(counted, count)
		cpu += m.Used.CPU()
	}
	s.MBPerS = s.MsgsPerS * float64(size) / 1e6
	s.CPUUsPerMsg = float64(cpu.Microseconds()) / float64(counted)
	s.Messages, s.Lost = f.Sent, f.Sent-least
	return s, nil
}

// space is a network namespace: hosts give theirs the same numbers.
type space struct {
	host   string
	number uint32
}

// Drops adds up what was dropped and sent again, packets, in several phases.
func Drops(phases ...*Figures) (d result.Drops) {
	for _, f := range phases {
		spaces := map[space]uint64{}
		for i, m := range f.Members {
			d.Dropped += m.Dropped
			d.Retransmitted += m.Retransmitted
			if k := m.KernelDrops; k != nil {
				// Members of one network namespace have looked at one counter.
				at := space{number: k.Namespace}
				if f.hosts != nil {
					at.host = f.hosts[i]
				}
				spaces[at] = max(spaces[at], k.Datagrams)
			}
		}
		if len(spaces) > 0 && d.KernelDropped == nil {
			d.KernelDropped = new(uint64)
		}
		for _, n := range spaces {
			*d.KernelDropped += n
		}
	}
	return d
}

// Processes returns what each member's process took.
func (f *Figures) Processes() (ps []result.Process) {
	for i, m := range f.Members {
		ps = append(ps, result.Took(i, m.Used))
	}
	return ps
}

// Latency merges the members' histograms.
func (f *Figures) Latency() (result.Latency, error) {
	var encoded []string
	for _, m := range f.Members {
		encoded = append(encoded, m.Histogram)
	}
	l, err := result.Merge(encoded)
	if err == nil && l.Samples == 0 {
		err = fmt.Errorf("no member delivered any of %d messages: %w", f.Sent, ErrNothing)
	}
	return l, err
}

// undelivered returns the first member's report of messages that never came.
func (f *Figures) undelivered() *check.Breach {
	for _, m := range f.Members {
		if m.Breach != nil {
			return m.Breach
		}
	}
	return nil
}
