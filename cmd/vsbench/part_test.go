//go:build linux

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endedBy runs a command until it has said what is waited for, has it ended, and returns its
// exit status, what it said and its document.
func endedBy(t *testing.T, wait string, end func(*os.Process) error, args ...string) (status int, said string, d document) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part.json")
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	read := func() string { b, _ := os.ReadFile(stderr.Name()); return string(b) }
	cmd := exec.Command(os.Args[0], append(args, "--json", path)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), asVsbench+"=1"), stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(read(), wait) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if err := end(cmd.Process); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: %s", err, read())
	}
	return cmd.ProcessState.ExitCode(), read(), parse(t, b)
}

// interrupted interrupts a command after its third step and returns its document.
func interrupted(t *testing.T, by os.Signal, args ...string) document {
	t.Helper()
	status, said, d := endedBy(t, "[3/", func(p *os.Process) error { return p.Signal(by) }, args...)
	if status != exitInterrupted || !strings.HasSuffix(said, "vsbench: interrupted\n") {
		t.Errorf("exit status %d, want %d: %s", status, exitInterrupted, said)
	}
	if d.Incomplete != "interrupted" || !strings.Contains(said, "note: WARNING: incomplete") {
		t.Errorf("incomplete is %q: %s", d.Incomplete, said)
	}
	return d
}

// TestInterruptLosesNothing: what was measured is in the document, and that it is not all.
func TestInterruptLosesNothing(t *testing.T) {
	for _, args := range []string{
		"run --levels fbcast,cbcast,abcast,safe-abcast --members 2 --senders 1,all --sizes 64 --runs 100 --duration 20s",
		"latency --levels abcast --members 2 --duration 100ms --points 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20",
		"throughput --levels fbcast,cbcast,abcast,safe-fbcast,safe-cbcast,safe-abcast --members 2,3 --sizes 64 --duration 200ms",
		"scale --levels fbcast,abcast --members 2,3,4,5,6,7,8 --groups 0 --size 64 --duration 200ms",
		"scale --levels fbcast --members 0 --groups 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 --size 64 --group-members 2 --duration 200ms",
	} {
		d := interrupted(t, os.Interrupt, strings.Split(args, " ")...)
		rows := append(d.Rows, d.Groups...)
		if len(rows) < 3 || d.Settings["network"] != "loopback" || len(d.Members) == 0 {
			t.Fatalf("%s: %d rows, settings %v, %d members", args, len(rows), d.Settings, len(d.Members))
		}
		// Points of one level are verified together, and that has not come to its end.
		if r := rows[0]; r["verified"] != (d.Command != "latency") || r["cpu_us_per_msg"].(float64) <= 0 {
			t.Errorf("%s: row %v", args, r)
		}
	}
}

// TestHangupIsAnInterrupt: the terminal of a soak over night may go away; with nohup it does not count.
func TestHangupIsAnInterrupt(t *testing.T) {
	args := []string{"throughput", "--levels", "fbcast,cbcast,abcast,safe-fbcast,safe-cbcast,safe-abcast", "--members", "2", "--sizes", "64", "--duration", "200ms"}
	defer signal.Reset(syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // or who runs this by nohup has it ignored by children, too
	interrupted(t, syscall.SIGHUP, args...)
	signal.Ignore(syscall.SIGHUP)
	status, said, d := endedBy(t, "[3/", func(p *os.Process) error { return p.Signal(syscall.SIGHUP) }, args...)
	if status != exitOK || d.Incomplete != "" {
		t.Errorf("exit status %d, incomplete %q: %s", status, d.Incomplete, said)
	}
}

// TestFailureLosesNothing: a member that is gone ends the run, and not what was measured before.
func TestFailureLosesNothing(t *testing.T) {
	kill := func(p *os.Process) error { return syscall.Kill(children(p.Pid)[1], syscall.SIGKILL) }
	status, said, d := endedBy(t, "[2/", kill, "run", "--levels", "fbcast", "--sizes", "64,65", "--senders", "1", "--runs", "100", "--duration", "20s")
	if status != exitFailed || !strings.Contains(d.Incomplete, "ended before it answered") {
		t.Errorf("exit status %d, incomplete %q: %s", status, d.Incomplete, said)
	}
	if len(d.Rows) == 0 || len(d.Rows[0]["runs"].([]any)) == 0 || d.Rows[0]["verified"] != true || d.Settings["runs"] != 100.0 {
		t.Errorf("rows %v", d.Rows)
	}
}
