package tuning

import (
	"cmp"
	"slices"
)

// Severity is how much a finding matters.
type Severity string

const (
	// Broken: messages are lost or changed for good, or do not arrive at all.
	Broken Severity = "broken"
	// Slow: it works, and costs throughput, latency or repairs.
	Slow Severity = "slow"
	// Note: good to know when figures surprise; nothing needs to be done.
	Note Severity = "note"
)

// Finding is something about a machine or a path that is not as the engine would
// have it.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Found    string   `json:"found"`
	Expected string   `json:"expected"`
	Why      string   `json:"why"`
	Commands []string `json:"commands,omitempty"` // to be run as root; empty if no command helps
	Changes  []Change `json:"changes,omitempty"`  // the same, as Apply does it; empty if it cannot
	Gain     string   `json:"gain"`               // what to expect
	Measured bool     `json:"measured"`           // the gain was measured on this machine
	Effect   float64  `json:"effect"`             // expected factor, at least 1: what findings are sorted by
}

// NeedsAttention tells whether something should be done.
func (f *Finding) NeedsAttention() bool { return f.Severity != Note }

// Sort puts findings in order of their effect: what is broken first, and within
// a severity the largest factor.
func Sort(all []Finding) {
	rank := map[Severity]int{Broken: 0, Slow: 1, Note: 2}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Severity], rank[b.Severity]), cmp.Compare(b.Effect, a.Effect))
	})
}
