package run

import (
	"errors"
	"testing"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/course"
)

// TestPeersAreHeldToTheirPromise: a level that is another system is judged by the
// engine's level that it is put beside.
func TestPeersAreHeldToTheirPromise(t *testing.T) {
	swap := func(h *hub, p packet) []packet { // each message of member 0 after the next one of another
		if p.from == 0 && h.held == nil {
			h.held = []packet{p}
			return nil
		}
		out := append([]packet{p}, h.held...)
		h.held = nil
		return out
	}
	plan := Plan{Levels: []string{"other"}, Peers: course.Promises{"other": "abcast"}, Sizes: []int{64}, Senders: []int{3}, Duration: 40 * time.Millisecond, Load: 2000}
	_, err := New(plan, newHub(t, 3, "other", swap), nil).Run(t.Context())
	var b *course.Breach
	if !errors.As(err, &b) || b.What.Kind == check.Stale {
		t.Errorf("an order that was not kept: %v", err)
	}
	res, err := New(plan, newHub(t, 3, "other", nil), nil).Run(t.Context())
	if err != nil || !res.Rows[0].Verified || res.Rows[0].Level != "other" {
		t.Errorf("an order that was kept: %v", err)
	}
	plan.Peers = nil
	if _, err := New(plan, newHub(t, 3, "other", nil), nil).Run(t.Context()); err == nil {
		t.Error("a level without a promise was measured")
	}
}
