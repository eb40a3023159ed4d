package failover

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cohort/internal/bench/fleet"
)

// started starts commands as members that answer nothing.
func started(t *testing.T, commands ...string) (all []*subject) {
	t.Helper()
	for _, command := range commands {
		name, arg, _ := strings.Cut(command, " ")
		p, err := fleet.Start(fleet.Here, command, exec.Command(name, arg), t.Output())
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() {
			_ = p.Signal(os.Kill)
			_ = p.Close()
		})
		all = append(all, &subject{name: command, timeout: time.Minute, process: p})
	}
	return all
}

// TestNobodyIsWaitedForAfterAnError: of one member that has ended, one that says nothing keeps nobody.
func TestNobodyIsWaitedForAfterAnError(t *testing.T) {
	all := started(t, "sleep 100", "false")
	began := time.Now()
	_, err := (&ring{}).askAll(t.Context(), all, same(Request{Op: OpAwait}))
	if err == nil || !strings.HasPrefix(err.Error(), "false: ") || errors.Is(err, fleet.ErrSilent) {
		t.Errorf("error %v, want that of the one that has ended", err)
	}
	if took := time.Since(began); took > awaitLimit(time.Minute) {
		t.Errorf("waited for %v", took)
	}
}

// TestALostMemberIsNoticedAtOnce: the view that others wait for does not come if a member is stopped
// or gone to which no fault is done, whether it is asked as well or only in the ring.
func TestALostMemberIsNoticedAtOnce(t *testing.T) {
	for _, c := range []struct {
		by    os.Signal
		asked int
		says  string
	}{
		{syscall.SIGSTOP, 2, "sleep 102: it is stopped (SIGSTOP)"},
		{syscall.SIGSTOP, 1, "sleep 102: it is stopped (SIGSTOP)"},
		{syscall.SIGKILL, 2, `sleep 102: ended before it answered "await": signal: killed`},
		{syscall.SIGKILL, 1, "sleep 102: ended while others were asked: signal: killed"},
	} {
		r := &ring{members: started(t, "sleep 101", "sleep 102")}
		if err := r.members[1].process.Signal(c.by); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := r.askAll(ctx, r.members[:c.asked], same(Request{Op: OpAwait}))
		cancel()
		if err == nil || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%v, %d asked: error %v, want %q", c.by, c.asked, err, c.says)
		}
	}
}

// TestWhoIsToDieIsAskedFirst: the end of a member that is asked is not taken for a loss while its
// answer is on the way.
func TestWhoIsToDieIsAskedFirst(t *testing.T) {
	dying := started(t, "false")[0]
	<-dying.process.Ended()
	if err := dying.lost(true); err != nil {
		t.Errorf("a member that is asked and has ended: %v", err)
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
