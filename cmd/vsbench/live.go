package main

import (
	"fmt"
	"strings"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
)

// memberLines says for people what each member measured of a phase.
func memberLines(f *course.Figures) (all []string) {
	for rank, m := range f.Members {
		all = append(all, memberLine(rank, m))
	}
	return all
}

// memberLine leaves out what there is nothing to say of: latency at full speed, the
// token of a level that passes none, the window of a member that does not send.
func memberLine(rank int, m member.Measured) string {
	var b strings.Builder
	fmt.Fprintf(&b, "member %d", rank)
	took := time.Duration(m.Last - m.First).Seconds()
	if m.Delivered > 0 && took > 0 {
		fmt.Fprintf(&b, "  %s msgs/s", result.Count(float64(m.Delivered)/took))
	}
	if m.Histogram != "" {
		// One that cannot be read fails the row, whose figures are made from it.
		if l, err := result.Merge([]string{m.Histogram}); err == nil && l.Samples > 0 {
			fmt.Fprintf(&b, "  p50 %.0f µs  p99 %.0f µs", l.P50Us, l.P99Us)
		}
	}
	fmt.Fprintf(&b, "  dropped %d  resent %d", m.Dropped, m.Retransmitted)
	if w := m.Flow; w != nil {
		if w.TokenPasses > 0 && took > 0 {
			fmt.Fprintf(&b, "  token passed %s/s", result.Count(float64(w.TokenPasses)/took))
		}
		if w.WindowBytes > 0 && w.WindowLimit > 0 {
			fmt.Fprintf(&b, "  window %d %%", 100*w.WindowBytes/w.WindowLimit)
		}
	}
	return b.String()
}
