package sim

import (
	"slices"
	"testing"

	"cohort/internal/flaw"
)

// catches says, for each flaw, within how many runs the checker must catch it,
// and which properties may be the first to break.
var catches = map[flaw.Set]struct {
	runs int
	by   []string
}{
	flaw.SafeTooEarly:        {10, []string{"Safe"}},
	flaw.SafeIgnoresPast:     {200, []string{"Safe"}},
	flaw.CausalUnchecked:     {30, []string{"Causal"}},
	flaw.TotalOnReceipt:      {30, []string{"Total", "Safe"}},
	flaw.RecordsUnordered:    {60, []string{"Total", "Safe", "OneHolder"}},
	flaw.CutIgnoresCausality: {300, []string{"Safe", "Causal", "Liveness"}},
	flaw.TwoHolders:          {20, []string{"OneHolder"}},
	flaw.GapSkipped:          {30, []string{"FIFO", "HonestRows", "Causal", "Safe"}},
	flaw.DuplicatesDelivered: {30, []string{"NoDuplication"}},
	flaw.NoRepair:            {30, []string{"SelfDelivery", "SameViewDelivery", "Liveness", "Prompt"}},
	flaw.ReleasedTooEarly:    {60, []string{"SelfDelivery", "SameViewDelivery", "Liveness", "Prompt"}},
}

// TestFlawsAreCaught runs each broken protocol until the checker catches it: one
// that passes a broken protocol proves nothing.
func TestFlawsAreCaught(t *testing.T) {
	if raceEnabled {
		t.Skip("too slow under the race detector, and there is one goroutine")
	}
	for _, f := range flaw.All() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			want, known := catches[f]
			if !known {
				t.Fatalf("nobody says what should catch %v", f)
			}
			for i := range want.runs {
				v := Run(Generate(uint64(firstSeed+i)), f, nil).Violation
				if v == nil {
					continue
				}
				if !slices.Contains(want.by, v.Property) {
					t.Errorf("run %d: caught by %v, want one of %v", i+1, v, want.by)
				}
				t.Logf("run %d of %d: %v", i+1, want.runs, v)
				return
			}
			t.Errorf("not caught in %d runs", want.runs)
		})
	}
}
