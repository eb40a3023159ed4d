package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/course"
	"cohort/internal/bench/load"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shortPlan(levels ...string) Plan {
	return Plan{Levels: levels, Sizes: []int{64}, Senders: []int{3}, Duration: 60 * time.Millisecond, Load: 2000, Network: "fake"}
}

func TestRunMeasuresAndVerifies(t *testing.T) {
	plan := shortPlan("raw", "fbcast", "safe-abcast")
	plan.Senders = []int{1, 3}
	var seen []int
	res, err := New(plan, newHub(t, 3, "", nil), func(done, steps int, text string) {
		if steps != 9 || text == "" {
			t.Errorf("step %d of %d: %q; want of 9", done, steps, text)
		}
		seen = append(seen, done)
	}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("progress %v", seen)
	}
	if len(res.Rows) != 6 || len(res.Idle) != 3 || len(res.Members) != 3 {
		t.Fatalf("%d rows, %d idle, %d members; want 6, 3, 3", len(res.Rows), len(res.Idle), len(res.Members))
	}
	for _, r := range res.Rows {
		if r.Verified != (r.Level != "raw") {
			t.Errorf("%s: verified is %v", r.Level, r.Verified)
		}
		if r.MsgsPerS <= 0 || len(r.MemberRates) != 3 || slices.Min(r.MemberRates) != r.MsgsPerS || r.MBPerS != r.MsgsPerS*64/1e6 {
			t.Errorf("%s: %v msgs/s, %v MB/s, members' rates %v", r.Level, r.MsgsPerS, r.MBPerS, r.MemberRates)
		}
		// 30 ms at 2000/s, delivered at all members but the sender.
		if want := int64(60 * 2); r.LoadMsgsPerS != 2000 || r.Samples < want-6 || r.Samples > want {
			t.Errorf("%s: %d latencies at a load of %v, want about %d at 2000", r.Level, r.Samples, r.LoadMsgsPerS, want)
		}
		if r.RatioRaw == nil || r.RatioFbcast == nil {
			t.Errorf("%s: ratios missing", r.Level)
		}
	}
}

// TestRunsAreInterleaved: every row is measured once before any is again.
func TestRunsAreInterleaved(t *testing.T) {
	plan := shortPlan("raw", "fbcast", "abcast")
	plan.Senders, plan.Runs = []int{1, 3}, 3
	var seen []string
	res, err := New(plan, newHub(t, 3, "", nil), func(_, steps int, text string) {
		if steps != 27 {
			t.Errorf("%d steps, want 27", steps)
		}
		seen = append(seen, text)
	}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range seen {
		if want := fmt.Sprintf("run %d of 3", i/9+1); !strings.Contains(text, want) {
			t.Errorf("step %d is %q, want %s", i+1, text, want)
		}
	}
	if !strings.HasPrefix(seen[0], "raw") || !strings.HasPrefix(seen[9], "fbcast") || !strings.HasPrefix(seen[18], "abcast") {
		t.Errorf("the runs begin with %q, %q, %q; want each another level", seen[0], seen[9], seen[18])
	}
	for i, level := range []string{"raw", "fbcast", "abcast", "raw", "fbcast", "abcast"} {
		r := res.Rows[i]
		if r.Level != level || r.Senders != []int{1, 3}[i/3] || len(r.Runs) != 3 || r.Verified != (level != "raw") {
			t.Errorf("row %d: %s, %d sending, %d runs, verified %v", i, r.Level, r.Senders, len(r.Runs), r.Verified)
		}
		if len(r.Intervals) < 8 || len(r.Processes) != 3 || len(r.LoadProcesses) != 3 || len(r.Percentiles) == 0 || r.Runs[0].Percentiles != nil {
			t.Errorf("%s: %d intervals, %d and %d processes, %d percentiles", level, len(r.Intervals), len(r.Processes), len(r.LoadProcesses), len(r.Percentiles))
		}
	}
	for _, i := range res.Idle {
		if len(i.Runs) != 3 || i.RatioToRaw == nil || i.Samples < 3*100 {
			t.Errorf("%s on an idle group: %d runs, %d latencies", i.Level, len(i.Runs), i.Samples)
		}
	}
}

// TestFloodsOfAnInterruptedBlockAreKept: what was measured at full speed before the interrupt is
// there, and of the load, which had not come, nothing that could be taken for a figure.
func TestFloodsOfAnInterruptedBlockAreKept(t *testing.T) {
	plan := shortPlan("raw", "fbcast", "abcast")
	plan.Runs = 2
	for _, after := range []int{1, 6 + 1} { // one load of the first block, of three rows and three idle groups
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res, err := New(plan, newHub(t, 3, "", nil), func(done, _ int, _ string) {
			if done == after {
				cancel()
			}
		}).Run(ctx)
		if !errors.Is(err, context.Canceled) || res == nil || len(res.Rows) != 3 {
			t.Fatalf("error %v, a result: %v; want three rows of what was interrupted", err, res != nil)
		}
		runs := (after + 5) / 6
		whole := 0
		for _, r := range res.Rows {
			last := r.Runs[len(r.Runs)-1]
			if len(r.Runs) != runs || last.MsgsPerS <= 0 || r.MsgsPerS <= 0 || r.Verified != (r.Level != "raw") {
				t.Errorf("%s: %d runs, %v and %v msgs/s, verified %v", r.Level, len(r.Runs), last.MsgsPerS, r.MsgsPerS, r.Verified)
			}
			if last.Samples > 0 {
				whole++
				continue
			}
			b, err := json.Marshal(last)
			if err != nil || strings.Contains(string(b), "p50_us") || strings.Contains(string(b), "load_msgs_per_s") {
				t.Errorf("%s: the run has figures of a load that was not: %s, %v", r.Level, b, err)
			}
			if f, ok := r.Figure("p50_us"); ok != (runs > 1) || len(f.Runs) != runs-1 {
				t.Errorf("%s: p50 %+v, of %d runs the last without", r.Level, f, runs)
			}
		}
		if notes := strings.Join(res.Notes(), "\n"); whole != 1 || !strings.Contains(notes, fmt.Sprintf("2 of %d runs of a row ended before the load", 3*runs)) {
			t.Errorf("%d rows have a load in their last run, want 1; notes %s", whole, notes)
		}
	}
}

func TestLoadIsCapped(t *testing.T) {
	plan := shortPlan("fbcast")
	plan.Load = 1e12
	res, err := New(plan, newHub(t, 3, "", nil), nil).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r := res.Rows[0]; r.LoadMsgsPerS != r.MsgsPerS/2 {
		t.Errorf("load %v at a throughput of %v, want half of it", r.LoadMsgsPerS, r.MsgsPerS)
	}
}

// The faults, each done now and then so that a good deal was right before.
func now(h *hub) bool { return h.count%7 == 3 }

func repeatIt(h *hub, p packet) []packet {
	if now(h) {
		return []packet{p, p}
	}
	return []packet{p}
}

func loseIt(h *hub, p packet) []packet {
	if now(h) && !load.Last(p.b) {
		return nil
	}
	return []packet{p}
}

func loseLast(h *hub, p packet) []packet {
	if load.Last(p.b) {
		return nil
	}
	return []packet{p}
}

// swapSenders delivers messages of one sender after the next one of another.
func swapSenders(h *hub, p packet) []packet {
	switch {
	case len(h.held) == 0 && (!now(h) || load.Last(p.b)):
		return []packet{p}
	case len(h.held) == 0, p.from == h.held[0].from && !load.Last(p.b):
		h.held = append(h.held, p)
		return nil
	}
	late := h.held
	h.held = nil
	if p.from == late[0].from {
		return append(late, p)
	}
	return append([]packet{p}, late...)
}

// swapOwn delivers a message after the next one of the same sender.
func swapOwn(h *hub, p packet) []packet {
	if len(h.held) == 0 && now(h) && !load.Last(p.b) {
		h.held = []packet{p}
		return nil
	}
	if len(h.held) == 0 || p.from != h.held[0].from {
		return []packet{p}
	}
	first := h.held[0]
	h.held = nil
	return []packet{p, first}
}

func mangle(h *hub, p packet) []packet {
	if now(h) {
		p.b[len(p.b)-1] ^= 0xff
	}
	return []packet{p}
}

func lie(h *hub, p packet) []packet {
	if now(h) {
		p.from = (p.from + 1) % 3
	}
	return []packet{p}
}

func TestBreachesFailTheRun(t *testing.T) {
	for _, c := range []struct {
		name, level string
		fault       fault
		kinds       []check.Kind
	}{
		{"repeated", "fbcast", repeatIt, []check.Kind{check.Repeated}},
		{"lost", "fbcast", loseIt, []check.Kind{check.Missing}},
		{"lost at the end", "fbcast", loseLast, []check.Kind{check.Undelivered}},
		{"own order", "fbcast", swapOwn, []check.Kind{check.Missing}},
		{"causal order", "cbcast", swapSenders, []check.Kind{check.CausalViolated}},
		{"total order", "abcast", swapSenders, []check.Kind{check.TotalViolated, check.CausalViolated}},
		{"safe total order", "safe-abcast", swapSenders, []check.Kind{check.TotalViolated, check.CausalViolated}},
		{"contents", "fbcast", mangle, []check.Kind{check.Mangled}},
		{"sender", "fbcast", lie, []check.Kind{check.Misattributed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plan := shortPlan(c.level)
			plan.Duration *= 10 // on a busy machine messages come in bursts, and few claim what was held back
			_, err := New(plan, newHub(t, 3, c.level, c.fault), nil).Run(t.Context())
			var b *course.Breach
			if !errors.As(err, &b) {
				t.Fatalf("error %v; want a breach", err)
			}
			if !slices.Contains(c.kinds, b.What.Kind) {
				t.Errorf("breach %q: %v; want one of %q", b.What.Kind, b.What, c.kinds)
			}
			if strings.Count(b.Histories, "member ") < 2 || !strings.Contains(b.Histories, ":") {
				t.Errorf("histories do not show two members:\n%s", b.Histories)
			}
			if !strings.Contains(err.Error(), c.level+", 64 B, 3 sending") {
				t.Errorf("error does not say where: %v", err)
			}
		})
	}
}

func TestFBcastMayDifferBetweenSenders(t *testing.T) {
	if _, err := New(shortPlan("fbcast"), newHub(t, 3, "fbcast", swapSenders), nil).Run(t.Context()); err != nil {
		t.Errorf("fbcast was held to more than it promises: %v", err)
	}
}

func TestRawMayLose(t *testing.T) {
	res, err := New(shortPlan("raw"), newHub(t, 3, "raw", loseIt), nil).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r := res.Rows[0]; r.Lost == 0 || r.Verified {
		t.Errorf("%d lost, verified %v", r.Lost, r.Verified)
	}
}

// TestRawThatDeliversNothingIsLeftOut: and told, and the other rows are measured.
func TestRawThatDeliversNothingIsLeftOut(t *testing.T) {
	plan := shortPlan("raw", "fbcast")
	plan.Runs, plan.Duration = 2, 120*time.Millisecond
	least := func(h *hub, p packet) []packet { return nil }
	steps := 0
	res, err := New(plan, newHub(t, 3, "raw", least), func(done, _ int, _ string) { steps = done }).Run(t.Context())
	// Idle rows have latencies of the members that did get something.
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Rows) != 1 || res.Rows[0].Level != "fbcast" || len(res.Rows[0].Runs) != 2 || len(res.Idle) != 2 || steps != plan.Steps() {
		t.Errorf("%d rows, the first of %s, %d idle, %d steps of %d", len(res.Rows), res.Rows[0].Level, len(res.Idle), steps, plan.Steps())
	}
	if len(res.Unmeasured) != 1 || !strings.HasPrefix(res.Unmeasured[0], "raw, 64 B, 3 sending: member 2 delivered 0 of ") || !slices.Contains(res.Notes(), "left out: "+res.Unmeasured[0]) {
		t.Errorf("unmeasured %q, notes %q", res.Unmeasured, res.Notes())
	}
}
