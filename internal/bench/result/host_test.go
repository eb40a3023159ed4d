package result

import (
	"strings"
	"testing"
)

func TestTimings(t *testing.T) {
	for _, c := range []struct {
		rows []Row
		want string
	}{
		{[]Row{{Level: "raw", LatencyOf: "one way"}, {Level: "abcast", LatencyOf: "one way"}}, "one way"},
		{[]Row{{Level: "raw"}}, "one way"}, // an old document
		{[]Row{{Level: "raw", LatencyOf: "round trip"}, {Level: "safe-abcast", LatencyOf: "self-delivery"}, {Level: "abcast", LatencyOf: "round trip"}, {Level: "raw", LatencyOf: "round trip"}},
			"round trip of raw, abcast; self-delivery of safe-abcast"},
	} {
		if got := (&Run{Rows: c.rows}).timings(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestOtherVersionsAreTold: a revision that one host does not know is no other one.
func TestOtherVersionsAreTold(t *testing.T) {
	mine := Version{Module: "(devel)", Revision: "abc", Go: "go1.26"}
	other, unknown := mine, mine
	other.Revision, unknown.Revision = "def", ""
	r := Run{Version: mine, Hosts: []Host{{Name: "a", Version: mine}, {Name: "b", Version: other}, {Name: "c", Version: unknown}}}
	if got := r.Notes(); len(got) != 1 || !strings.Contains(got[0], "host b runs another vsbench") {
		t.Errorf("%q, want only that of host b", got)
	}
}

// TestLatenciesOfDifferentKindsAreNotDivided, nor taken for the same row.
func TestLatenciesOfDifferentKindsAreNotDivided(t *testing.T) {
	run := func(us float64) []IdlePass { return []IdlePass{{Latency: Latency{P50Us: us}}} }
	r := Run{Idle: []Idle{{Level: "raw", SizeBytes: 64, LatencyOf: "round trip", Runs: run(2)},
		{Level: "abcast", SizeBytes: 64, LatencyOf: "round trip", Runs: run(6)},
		{Level: "safe-abcast", SizeBytes: 64, LatencyOf: "self-delivery", Runs: run(5)}}}
	r.ratios()
	if q := r.Idle[1].Runs[0].RatioToRaw; q == nil || *q != 3 {
		t.Errorf("ratio of round trips %v, want 3", q)
	}
	if q := r.Idle[2].Runs[0].RatioToRaw; q != nil {
		t.Errorf("self-delivery is %v round trips", *q)
	}
	here := Idle{Level: "abcast", SizeBytes: 64, LatencyOf: "one way"}
	if old := (&Idle{Level: "abcast", SizeBytes: 64}); here.key() != old.key() || here.key() == r.Idle[1].key() {
		t.Errorf("keys %q, %q of an old document, %q of a round trip", here.key(), old.key(), r.Idle[1].key())
	}
}
