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
func (f *figures) speed(row *result.Row) error {
	least := f.sent
	var cpu time.Duration
	for i, m := range f.members {
		took := time.Duration(m.Last - m.First)
		if m.Delivered == 0 || took <= 0 {
			return fmt.Errorf("member %d delivered %d of %d messages in %v: nothing to measure", i, m.Delivered, f.sent, took)
		}
		rate := float64(m.Delivered) / took.Seconds()
		row.MemberRates = append(row.MemberRates, rate)
		if row.MsgsPerS == 0 || rate < row.MsgsPerS {
			row.MsgsPerS = rate
		}
		least = min(least, m.Delivered)
		cpu += m.CPU
	}
	row.MBPerS = row.MsgsPerS * float64(row.SizeBytes) / 1e6
	row.CPUUsPerMsg = float64(cpu.Microseconds()) / float64(least)
	row.Messages, row.Lost = f.sent, f.sent-least
	return nil
}

// latency merges the members' histograms.
func (f *figures) latency() (result.Latency, error) {
	var encoded []string
	for _, m := range f.members {
		encoded = append(encoded, m.Histogram)
	}
	l, err := result.Merge(encoded)
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
