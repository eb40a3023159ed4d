package failover

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cohort/internal/bench/fleet"
)

// TestNobodyIsWaitedForAfterAnError: of one member that has ended, one that says nothing keeps nobody.
func TestNobodyIsWaitedForAfterAnError(t *testing.T) {
	var all []*subject
	for _, command := range []string{"sleep 100", "false"} {
		name, arg, _ := strings.Cut(command, " ")
		p, err := fleet.Start(fleet.Here, command, exec.Command(name, arg), t.Output())
		if err != nil {
			t.Skip(err)
		}
		defer func() { _ = p.Close() }()
		all = append(all, &subject{name: command, timeout: time.Minute, process: p})
	}
	began := time.Now()
	_, err := askAll(t.Context(), all, same(Request{Op: OpAwait}))
	if err == nil || !strings.HasPrefix(err.Error(), "false: ") || errors.Is(err, fleet.ErrSilent) {
		t.Errorf("error %v, want that of the one that has ended", err)
	}
	if took := time.Since(began); took > awaitLimit(time.Minute) {
		t.Errorf("waited for %v", took)
	}
}

// TestLimitsFollowTheTimeout: a view that begins after the timeout is waited for, a hanging member
// is not.
func TestLimitsFollowTheTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{10 * time.Millisecond, time.Minute} {
		await, step := Request{Op: OpAwait}, Request{Op: OpTally}
		if a := awaitLimit(timeout); a < timeout+10*time.Second || await.limit(timeout) <= a || step.limit(timeout) > 10*time.Second {
			t.Errorf("timeout %v: a view is waited for %v, its answer %v, a tally %v", timeout, a, await.limit(timeout), step.limit(timeout))
		}
	}
}
