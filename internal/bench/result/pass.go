package result

import (
	"cohort/internal/bench/kernel"
	"cohort/internal/bench/noise"
)

// Pass is one run of a row. Its names are those of the row. One that ended between full speed and the
// load has the figures of full speed alone.
type Pass struct {
	StartS float64 `json:"start_s"` // after the bench began to measure

	Speed
	Drops

	LoadMsgsPerS float64 `json:"load_msgs_per_s,omitzero"`
	Latency

	RatioFbcast    *float64 `json:"ratio_fbcast"`
	RatioRaw       *float64 `json:"ratio_raw"`
	RatioOneSender *float64 `json:"ratio_one_sender"`

	Processes     []Process    `json:"processes"`
	LoadProcesses []Process    `json:"load_processes"`
	Noise         *noise.Noise `json:"noise"`
	Span          noise.Span   `json:"-"` // that the noise was judged from
}

// IdlePass is one run of a level on an idle group. Its names are those of Idle.
type IdlePass struct {
	StartS float64 `json:"start_s"`
	Latency
	RatioToRaw *float64     `json:"ratio_to_raw"`
	Processes  []Process    `json:"processes"`
	Noise      *noise.Noise `json:"noise"`
	Span       noise.Span   `json:"-"`
}

// Process is what one member's process took.
type Process struct {
	Rank        int     `json:"rank"`
	UserS       float64 `json:"user_s"`
	SystemS     float64 `json:"system_s"`
	Voluntary   int64   `json:"voluntary_switches"`   // it waited for something
	Involuntary int64   `json:"involuntary_switches"` // another one was given its core
}

// Took returns the Process for what the kernel has counted.
func Took(rank int, u kernel.Usage) Process {
	return Process{Rank: rank, UserS: u.User.Seconds(), SystemS: u.System.Seconds(), Voluntary: u.Voluntary, Involuntary: u.Involuntary}
}

// addProcesses returns the sums, process by process.
func addProcesses(sum, more []Process) []Process {
	for i, p := range more {
		if i == len(sum) {
			sum = append(sum, Process{Rank: p.Rank})
		}
		s := &sum[i]
		s.UserS, s.SystemS = s.UserS+p.UserS, s.SystemS+p.SystemS
		s.Voluntary, s.Involuntary = s.Voluntary+p.Voluntary, s.Involuntary+p.Involuntary
	}
	return sum
}
