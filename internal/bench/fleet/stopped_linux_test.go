package fleet

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"cohort/internal/bench/member"
)

// TestAStoppedMemberIsNoticed long before the limit of what it was asked, which may be minutes; one
// that takes its time is waited for.
func TestAStoppedMemberIsNoticed(t *testing.T) {
	p, err := Start(Here, "sleeper", exec.Command("sleep", "100"), t.Output())
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_ = p.Signal(os.Kill)
		_ = p.Close()
	})
	ask := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := p.Ask(ctx, member.Request{Op: member.OpWait})
		return err
	}
	if err := ask(3 * lookEvery / 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v of a member that takes its time, want the limit's", err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := ask(10 * time.Second); !errors.Is(err, ErrStopped) {
		t.Errorf("error %v of a stopped member, want ErrStopped", err)
	}
}
