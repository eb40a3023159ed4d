package churn

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"cohort/internal/flaw"
)

// runs is how many seeds the tests run: under the race detector fewer, since there
// is one goroutine. The seeds are fixed; vssim goes where nobody has been.
func runs() int {
	switch {
	case raceEnabled:
		return 100
	case testing.Short():
		return 1000
	}
	return 10_000
}

const shards = 4

// TestSeeds holds runs of random scenarios against every property.
func TestSeeds(t *testing.T) {
	var mu sync.Mutex
	met := map[string]int{}
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < runs(); i += shards {
					s := Generate(uint64(1 + i))
					r := Run(s, 0, nil)
					if r.Violation != nil {
						t.Errorf("seed %d: %v\nreplay it with: go run ./cmd/vssim churn replay %d", s.Seed, r.Violation, s.Seed)
						return
					}
					mu.Lock()
					count(met, s, r)
					mu.Unlock()
				}
			})
		}
	})
	if t.Failed() || testing.Short() || raceEnabled {
		return
	}
	for _, what := range []string{
		"crash", "stall", "cut", "leave", "join", "restart", "deliveries", "changes", "discarded", "went on",
		"blocked", "expelled", "left", "entered", "merged", "second rings",
		"enter", "exit", "restored", "refetched", "begun anew", "skipped", "1 members", "7 members",
	} {
		if met[what] == 0 {
			t.Errorf("no run met %q", what)
		}
	}
	t.Log(met)
}

// failed are seeds that have failed once.
var failed = map[uint64]string{
	31:   "who tried again to found a ring did not invite those to whom it was connected already",
	1144: "of the same",

	877:  "a safe message that its donor had delivered came after the restore, and was delivered twice",
	4843: "a group began anew at one member, while another had just got its old state",
	6242: "the only member that had a group's state left while another was getting it, and a third began the group anew",

	301336: "who was fetching a state from one who crashed waited for it for ever",
	309601: "one who joined was left alone before it had the table of groups, and waited for it for ever",
	200743: "who was in the view already, and did not know it, was invited into one in which it was twice",
}

func TestSeedsThatFailed(t *testing.T) {
	for seed, why := range failed {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if v := Run(Generate(seed), 0, nil).Violation; v != nil {
				t.Errorf("%v\nit failed before because %s", v, why)
			}
		})
	}
}

// TestLone: after a cut each side goes on with a view of its own, and whatever else
// happens, those who go together have delivered the same.
func TestLone(t *testing.T) {
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for i := shard; i < runs()/10; i += shards {
				seed := uint64(1 + i)
				whole := Generate(seed)
				whole.Lone = true
				if v := Run(whole, 0, nil).Violation; v != nil {
					t.Errorf("seed %d: %v", seed, v)
				}
				if r := Run(divided(seed), 0, nil); r.Violation != nil || r.Merged+r.Expelled == 0 {
					t.Errorf("seed %d, divided: %d of one side came to the other, %v", seed, r.Merged+r.Expelled, r.Violation)
				}
			}
		})
	}
}

// TestLoneOverSlowLinks: letters take about as long as the timeout, so members go each
// their own way while states are under way between them.
func TestLoneOverSlowLinks(t *testing.T) {
	for seed, why := range map[uint64]string{
		60001768: "a donor gave a state while it ended its view in another order than the one who joined, which went elsewhere",
		60002008: "of the same",
	} {
		s := Generate(seed)
		s.Lone, s.Loss, s.Dup, s.Jitter = true, 0.05*float64(seed%7), 0.05*float64(seed%3), int64(seed%5)*2*milli
		s.Timeout, s.Delay = 10*milli, 900*micro
		if v := Run(s, 0, nil).Violation; v != nil {
			t.Errorf("seed %d: %v\nit failed before because %s", seed, v, why)
		}
	}
}

// busy is a seed's scenario where programs are slow, so that letters come while a view is
// being finished, and where processes go in and out of the second group around each fault.
func busy(seed uint64) Scenario {
	s := Generate(seed)
	d := dice{rand.New(rand.NewPCG(seed, 0xb5))}
	s.Slow = pick(d, []int64{s.Delay, s.Timeout / 4})
	for _, o := range s.Ops {
		if o.Kind == Send || o.Kind == Enter || o.Kind == Exit {
			continue
		}
		for range 1 + d.IntN(8) {
			s.Ops = append(s.Ops, Op{At: max(0, o.At+d.Int64N(16*s.Delay)-8*s.Delay), Kind: pick(d, []Kind{Enter, Exit}), Who: d.IntN(8)})
		}
	}
	slices.SortStableFunc(s.Ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
	return s
}

// TestSlowPrograms: views end while deliveries take their time, and letters come in between.
func TestSlowPrograms(t *testing.T) {
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for i := shard; i < runs()/10; i += shards {
				s := busy(uint64(1 + i))
				if v := Run(s, 0, nil).Violation; v != nil {
					t.Errorf("seed %d: %v", s.Seed, v)
				}
			}
		})
	}
}

// divided is a scenario in which nothing happens but that a cut leaves somebody on
// each side, for long.
func divided(seed uint64) Scenario {
	s := Generate(seed)
	s.Lone, s.Members, s.Loss = true, 2+int(seed%6), 0 // lost beacons would put the forming off
	s.Expect, s.Formed = s.Members, allHeard
	s.Calm = max(s.Calm, allHeard+50*milli)
	o := Op{At: (s.Formed + s.Calm) / 2, Kind: Cut, Side: 1 + seed*2654435761%(1<<s.Members-2), For: 20 * s.Timeout}
	s.Calm = max(s.Calm, o.At+o.For)
	s.Ops = slices.DeleteFunc(s.Ops, func(o Op) bool { return o.Kind != Send })
	s.Ops = append(s.Ops, o)
	slices.SortStableFunc(s.Ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
	return s
}

// count adds up what runs have met: a simulator in which nothing happens would
// pass everything.
func count(met map[string]int, s Scenario, r Result) {
	met[fmt.Sprintf("%d members", s.Members)]++
	met["deliveries"] += r.Delivered
	met["changes"] += r.Changes
	met["discarded"] += int(r.Discarded)
	met["blocked"] += r.Blocked
	met["expelled"] += r.Expelled
	met["left"] += r.Left
	met["merged"] += r.Merged
	met["restored"] += r.Restored
	met["refetched"] += r.Refetched
	met["begun anew"] += r.Orphaned
	met["skipped"] += r.Skipped
	met["second rings"] += max(0, r.Rings-1)
	met["entered"] += r.Entered
	if r.Stuck {
		met["too few survived"]++
	} else {
		met["went on"]++
	}
	for _, o := range s.Ops {
		met[kindNames[o.Kind]]++
	}
}

// catches says, for each flaw, within how many runs the checker must catch it,
// and which properties may be the first to break.
var catches = map[flaw.Set]struct {
	runs int
	by   []string
}{
	flaw.NotFrozen:        {20, []string{"SelfDelivery", "VirtualSynchrony"}},
	flaw.CutByMinimum:     {20, []string{"SelfDelivery", "VirtualSynchrony"}},
	flaw.AcceptedIgnored:  {500, []string{"PrimaryComponent"}},
	flaw.AcceptsUnfetched: {500, []string{"Liveness", "Safe", "PrimaryComponent"}},
	flaw.AnyHalf:          {200, []string{"PrimaryComponent", "VirtualSynchrony"}},
	flaw.PromiseForgotten: {4000, []string{"PrimaryComponent", "VirtualSynchrony"}},
	flaw.TailByArrival:    {100, []string{"Total", "GroupTable"}},
	flaw.InstallsAlone:    {500, []string{"PrimaryComponent"}},
	flaw.SafeTooEarly:     {200, []string{"Safe", "Total"}},
	flaw.CausalUnchecked:  {50, []string{"Causal"}},
	flaw.TotalOnReceipt:   {50, []string{"Total", "GroupTable"}},
	flaw.TwoHolders:       {50, []string{"Total", "GroupTable", "SelfDelivery"}},
	flaw.GapSkipped:       {50, []string{"FIFO", "NoPanic", "SelfDelivery", "VirtualSynchrony", "Causal", "Safe"}},
}

// TestFlawsAreCaught runs each broken protocol until the checker catches it: one
// that passes a broken protocol proves nothing.
func TestFlawsAreCaught(t *testing.T) {
	if raceEnabled {
		t.Skip("too slow under the race detector, and there is one goroutine")
	}
	for _, f := range flaw.OfChange() {
		if _, known := catches[f]; !known {
			t.Errorf("nobody says what should catch %v", f)
		}
	}
	for f, want := range catches {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			for i := range want.runs {
				v := Run(Generate(uint64(1+i)), f, nil).Violation
				if v == nil {
					continue
				}
				if !slices.Contains(want.by, v.Property) {
					t.Errorf("run %d: caught by %v, want one of %v", i+1, v, want.by)
				}
				t.Logf("run %d of %d: %v", i+1, want.runs, v.Property)
				return
			}
			t.Errorf("not caught in %d runs", want.runs)
		})
	}
}

// TestDeterministic runs seeds twice, once with a trace: a run that cannot be
// repeated cannot be debugged.
func TestDeterministic(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		var told strings.Builder
		a, b := Run(Generate(seed), 0, io.Discard), Run(Generate(seed), 0, &told)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("seed %d ran twice: %+v, then %+v", seed, a, b)
		}
		if told.Len() == 0 {
			t.Errorf("seed %d: the trace is empty", seed)
		}
	}
}

// TestShrink makes a failing scenario smaller, and it still fails the same way.
func TestShrink(t *testing.T) {
	var s Scenario
	var v *Violation
	for seed := uint64(1); v == nil; seed++ {
		if seed > 20 {
			t.Fatal("no seed up to 20 catches CutByMinimum")
		}
		s = Generate(seed)
		v = Run(s, flaw.CutByMinimum, nil).Violation
	}
	small := Shrink(s, flaw.CutByMinimum, 200)
	if w := Run(small, flaw.CutByMinimum, nil).Violation; w == nil || w.Property != v.Property || len(small.Ops) >= len(s.Ops) {
		t.Errorf("%d operations of %d, which give %v; the whole gave %v", len(small.Ops), len(s.Ops), w, v)
	}
	if same := Shrink(s, 0, 10); !reflect.DeepEqual(same, s) {
		t.Error("a scenario that does not fail has been changed")
	}
}
