package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cohort/internal/bench/member"

	"cohort/internal/transcript"
	"go.uber.org/goleak"
)

// actAs makes the test binary a member that behaves in some way.
const actAs = "FLEET_TEST_ACT_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(actAs) {
	case "":
		goleak.VerifyTestMain(m)
	case "good":
		open := func(_ context.Context, o member.Open, _ member.Sink) (member.Media, error) {
			return nil, fmt.Errorf("no media for member %d", o.Index)
		}
		fmt.Fprintln(os.Stderr, "hello")
		if err := member.Serve(context.Background(), os.Stdin, os.Stdout, open); err != nil {
			os.Exit(1)
		}
	case "silent":
		for {
			time.Sleep(time.Hour)
		}
	case "dying":
		os.Exit(7)
	case "babbling":
		fmt.Println("this is no answer")
		time.Sleep(time.Hour)
	case "parent":
		p, err := Start(Here, "child", actor("silent"), os.Stderr)
		if err != nil {
			os.Exit(1)
		}
		fmt.Println(p.cmd.Process.Pid)
		time.Sleep(time.Hour)
	}
}

func actor(as string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actAs+"="+as)
	return cmd
}

func start(t *testing.T, as string, stderr *transcript.Transcript) *Process {
	t.Helper()
	p, err := Start(Here, "process 1", actor(as), stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestMemberAnswersAndEnds(t *testing.T) {
	t.Parallel()
	var stderr transcript.Transcript
	p := start(t, "good", &stderr)
	f := New([]Caller{p})
	_, err := f.One(t.Context(), 0, 10*time.Second, member.Request{Op: member.OpOpen, Open: &member.Open{Index: 4}})
	if err == nil || err.Error() != "member 0 (process 1): no media for member 4" {
		t.Errorf("error %v, want the member's own with its name", err)
	}
	_, err = f.One(t.Context(), 0, 10*time.Second, member.Request{Op: member.OpSend})
	if err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("error %v, want one about the order of requests", err)
	}
	began := time.Now()
	if err := f.Close(); err != nil || time.Since(began) > farewell {
		t.Errorf("closing took %v, error %v", time.Since(began), err)
	}
	if s := stderr.String(); s != "process 1: hello\n" {
		t.Errorf("standard error passed on: %q", s)
	}
}

func TestSilentMemberIsNamedAndKilled(t *testing.T) {
	t.Parallel()
	p := start(t, "silent", &transcript.Transcript{})
	f := New([]Caller{p})
	_, err := f.Each(t.Context(), 1, 200*time.Millisecond, func(int) member.Request { return member.Request{Op: member.OpWait} })
	if !errors.Is(err, ErrSilent) || err.Error() != `member 0 (process 1): no answer to "wait" within 200ms` {
		t.Errorf("error %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := p.cmd.Process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the member still runs: %v", err)
	}
}

func TestDeadMemberIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	f := New([]Caller{start(t, "dying", &transcript.Transcript{})})
	began := time.Now()
	_, err := f.One(t.Context(), 0, time.Minute, member.Request{Op: member.OpOpen})
	if err == nil || !strings.Contains(err.Error(), "member 0 (process 1): ended before it answered \"open\": exit status 7") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("noticed after %v", took)
	}
}

func TestNonsenseIsAnError(t *testing.T) {
	t.Parallel()
	f := New([]Caller{start(t, "babbling", &transcript.Transcript{})})
	_, err := f.One(t.Context(), 0, time.Minute, member.Request{Op: member.OpOpen})
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("error %v, want one about the answer", err)
	}
}

func TestCancelledRunDoesNotWait(t *testing.T) {
	t.Parallel()
	f := New([]Caller{start(t, "silent", &transcript.Transcript{}), start(t, "silent", &transcript.Transcript{})})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	_, err := f.Each(ctx, 2, time.Minute, func(int) member.Request { return member.Request{Op: member.OpWait} })
	if !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
		t.Errorf("error %v after %v", err, time.Since(began))
	}
}

func TestStartOfNothing(t *testing.T) {
	if _, err := Start(Here, "process 0", exec.Command("/nonexistent/program"), &transcript.Transcript{}); err == nil || !strings.Contains(err.Error(), "process 0") {
		t.Errorf("error %v, want one that names the process", err)
	}
	where := errors.New("no such place")
	if _, err := Start(func(func() error) error { return where }, "process 0", actor("good"), &transcript.Transcript{}); !errors.Is(err, where) {
		t.Errorf("error %v, want the host's", err)
	}
}

func TestOrderWantsAPermutation(t *testing.T) {
	a, b := &Process{name: "a"}, &Process{name: "b"}
	f := New([]Caller{a, b})
	for _, ranks := range [][]int{{0, 0}, {1, 2}, {-1, 0}} {
		if err := f.Order(ranks); err == nil {
			t.Errorf("ranks %v were taken", ranks)
		}
	}
	if err := f.Order([]int{1, 0}); err != nil || f.members[0].Name() != "b" {
		t.Errorf("first is %s, error %v; want b", f.members[0].Name(), err)
	}
}
