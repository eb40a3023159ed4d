package doctor

import (
	"fmt"
	"strings"

	"cohort/tuning"
)

// Fill puts what was measured into the findings that it is about.
func (s *SelfTest) Fill(all []tuning.Finding) {
	for i := range all {
		f := &all[i]
		switch f.ID {
		case tuning.IDRecvBuffer:
			s.fillBuffer(f)
		case tuning.IDTrains, "rx-gro", "tx-generic-segmentation":
			if s.TrainsMBs > 0 && s.PlainMBs > 0 {
				f.Effect = max(1, s.TrainsMBs/s.PlainMBs)
				f.Gain = fmt.Sprintf("up to %.1f times the throughput: over lo %.0f MB/s in trains and %.0f without", f.Effect, s.TrainsMBs, s.PlainMBs)
				f.Measured = true
			}
		}
	}
	tuning.Sort(all)
}

func (s *SelfTest) fillBuffer(f *tuning.Finding) {
	var had, want *Burst
	var parts []string
	for i := range s.Bursts {
		b := &s.Bursts[i]
		switch {
		case b.Name == asGranted:
			had = b
		case b.Name == asWanted:
			want = b
		}
		parts = append(parts, fmt.Sprintf("%s (%d KiB) keeps %.1f", b.Name, b.Buffer>>10, float64(b.Kept)/1e6))
	}
	if had == nil {
		return
	}
	f.Gain = fmt.Sprintf("of a burst of %.1f MB over lo to a loop that is off its core %s MB", float64(had.Sent)/1e6, strings.Join(parts, ", "))
	if want == nil {
		f.Gain += "; more cannot be tried without root"
		return
	}
	f.Measured = true
	f.Effect = max(1, float64(want.Kept)/float64(max(1, had.Kept)))
}
