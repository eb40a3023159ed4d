package run

import (
	"fmt"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
)

// figures is what all members measured of one phase.
type figures struct {
	spec    member.Row
	sent    uint64 // by all senders
	members []member.Measured
}

// speed fills in what a flood tells.
func (f *figures) speed(p *result.Pass) error {
	least := f.sent
	var cpu time.Duration
	for i, m := range f.members {
		took := time.Duration(m.Last - m.First)
		if m.Delivered == 0 || took <= 0 {
			return fmt.Errorf("member %d delivered %d of %d messages in %v: nothing to measure", i, m.Delivered, f.sent, took)
		}
		rate := float64(m.Delivered) / took.Seconds()
		p.MemberRates = append(p.MemberRates, rate)
		if p.MsgsPerS == 0 || rate < p.MsgsPerS {
			p.MsgsPerS = rate
		}
		least = min(least, m.Delivered)
		cpu += m.Used.CPU()
	}
	p.MBPerS = p.MsgsPerS * float64(f.spec.Size) / 1e6
	p.CPUUsPerMsg = float64(cpu.Microseconds()) / float64(least)
	p.Messages, p.Lost = f.sent, f.sent-least
	return nil
}

// losses adds what did not arrive at once.
func (f *figures) losses(p *result.Pass) {
	spaces := map[uint32]uint64{}
	for _, m := range f.members {
		p.Dropped += m.Dropped
		p.Retransmitted += m.Retransmitted
		if d := m.KernelDrops; d != nil {
			// Members of one network namespace have looked at one counter.
			spaces[d.Namespace] = max(spaces[d.Namespace], d.Datagrams)
		}
	}
	if len(spaces) == 0 {
		return
	}
	if p.KernelDropped == nil {
		p.KernelDropped = new(uint64)
	}
	for _, n := range spaces {
		*p.KernelDropped += n
	}
}

// processes returns what each member's process took.
func (f *figures) processes() (ps []result.Process) {
	for i, m := range f.members {
		ps = append(ps, result.Took(i, m.Used))
	}
	return ps
}

// latency merges the members' histograms. The points of the distribution are left
// out: they are for all runs together.
func (f *figures) latency() (result.Latency, error) {
	var encoded []string
	for _, m := range f.members {
		encoded = append(encoded, m.Histogram)
	}
	l, err := result.Merge(encoded)
	l.Percentiles = nil
	if err == nil && l.Samples == 0 {
		err = fmt.Errorf("no member delivered any of %d messages: no latency to measure", f.sent)
	}
	return l, err
}

// undelivered returns the first member's report of messages that never came.
func (f *figures) undelivered() *check.Breach {
	for _, m := range f.members {
		if m.Breach != nil {
			return m.Breach
		}
	}
	return nil
}
