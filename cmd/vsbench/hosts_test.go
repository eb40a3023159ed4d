//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cohort/internal/netlab"
	"cohort/internal/transcript"
)

// spawn starts vsbench where place puts it, and ends it with the test.
func spawn(t *testing.T, place func(func() error) error, args ...string) (*exec.Cmd, *transcript.Transcript) {
	t.Helper()
	cmd, text := exec.Command(os.Args[0], args...), &transcript.Transcript{}
	cmd.Env = append(os.Environ(), asVsbench+"=1")
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), text, text
	if err := place(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return cmd, text
}

func here(f func() error) error { return f() }

// await waits until a process has said something so often.
func await(t *testing.T, s *transcript.Transcript, times int, what string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); strings.Count(s.String(), what) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %q within a minute, but %q", what, s)
		}
	}
}

const waits = "waits for vsbench run --join"

func clusterOf(t *testing.T) string { return fmt.Sprint(t.Name(), time.Now().UnixNano()) }

// spawnMembers starts members on this machine, that run --join with these flags finds.
func spawnMembers(t *testing.T, n int) (members []*exec.Cmd, texts []*transcript.Transcript, flags []string) {
	t.Helper()
	flags = []string{"--interface", "lo", "--cluster", clusterOf(t)}
	for range n {
		cmd, text := spawn(t, here, append([]string{"member"}, flags...)...)
		members, texts = append(members, cmd), append(texts, text)
	}
	for _, text := range texts {
		await(t, text, 1, waits)
	}
	return members, texts, flags
}

// short is a run --join of a second.
func short(flags []string, more ...string) []string {
	return append(append([]string{"run", "--join", "--levels", "raw,cbcast,safe-abcast", "--sizes", "1024", "--senders", "1,all",
		"--runs", "1", "--duration", "100ms", "--json", "-"}, flags...), more...)
}

// checkHosts holds a document of run --join against what it must have.
func checkHosts(t *testing.T, stdout string, members int) {
	t.Helper()
	d := parse(t, []byte(stdout))
	if len(d.Hosts) != members || len(d.Members) != members || d.Targets != nil || d.Settings["network"] != "hosts" {
		t.Fatalf("%d hosts, %d members, targets %v, settings %v", len(d.Hosts), len(d.Members), d.Targets, d.Settings)
	}
	name, _ := os.Hostname()
	for i, h := range d.Hosts {
		if h["rank"] != float64(i) || h["name"] != name || h["machine"].(map[string]any)["kernel"] == "" || h["version"] == nil {
			t.Errorf("host %d: %v", i, h)
		}
	}
	of := map[string]string{"raw": "round trip", "cbcast": "round trip", "safe-abcast": "self-delivery"}
	if len(d.Rows) != 6 || len(d.Idle) != 3 {
		t.Fatalf("%d rows, %d idle; want 6 and 3", len(d.Rows), len(d.Idle))
	}
	for _, r := range append(d.Rows, d.Idle...) {
		level := r["level"].(string)
		if r["latency_of"] != of[level] || r["p50_us"].(float64) <= 0 || r["verified"] != (level != "raw") {
			t.Errorf("row %v, want latency of %s", r, of[level])
		}
		if ratio, idle := r["ratio_to_raw"]; idle && (ratio == nil) != (level == "safe-abcast") {
			t.Errorf("%s: ratio to raw %v: only round trips are to be compared with one", level, ratio)
		}
		if r["noise"] != nil {
			t.Errorf("%s: noise %v, of which machine?", level, r["noise"])
		}
	}
	// 50 ms at 10,000 a second, or half of what it carries, each answered once.
	for _, r := range d.Rows[:3] {
		if n, most := r["latency_samples"].(float64), 0.05*r["load_msgs_per_s"].(float64); n > most+1 || r["level"] != "raw" && n < most-1 {
			t.Errorf("%v: %v latencies, want one of each of %v messages", r["level"], n, most)
		}
	}
}

// TestRunOnHosts: members serve one run after the other, by multicast and fan-out,
// and end well when they are told to.
func TestRunOnHosts(t *testing.T) {
	members, texts, flags := spawnMembers(t, 3)
	for i, transport := range []string{"multicast", "fanout"} {
		status, stdout, stderr := vsbench(short(flags, "--transport", transport)...)
		if status != exitOK {
			t.Fatalf("%s: exit status %d: %s", transport, status, stderr)
		}
		checkHosts(t, stdout, 3)
		if !strings.Contains(stderr, "latency round trip of raw, cbcast; self-delivery of safe-abcast") {
			t.Errorf("the table does not say what latency is:\n%s", stderr)
		}
		for _, text := range texts {
			await(t, text, i+1, "done, was measured by")
		}
	}
	for i, m := range members {
		if err := m.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := m.Wait(); err != nil {
			t.Errorf("member %d: %v: %s", i, err, texts[i])
		}
	}
}

// TestOnlyOneMeasuresHosts: a second one is told who does; a member that is killed
// meanwhile ends the run with its name, and the others are free for the next.
func TestOnlyOneMeasuresHosts(t *testing.T) {
	members, texts, flags := spawnMembers(t, 3)
	run, text := spawn(t, here, append([]string{"run", "--join", "--levels", "cbcast", "--duration", "1m"}, flags...)...)
	await(t, texts[1], 1, "measured by")
	if status, _, stderr := vsbench(short(flags)...); status != exitFailed || !strings.Contains(stderr, "measured by another vsbench already: ") {
		t.Errorf("a second run: exit status %d: %s", status, stderr)
	}
	await(t, text, 1, "[1/") // a row
	if err := members[1].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait()
	want := fmt.Sprintf(":%d at 127.0.0.1", members[1].Process.Pid)
	if code := run.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(text.String(), want) || !strings.Contains(text.String(), "it is gone") {
		t.Errorf("exit status %d, %q; want %d, and the member %q", code, text, exitFailed, want)
	}
	if status, stdout, stderr := vsbench(short(flags, "--members", "2")...); status != exitOK {
		t.Errorf("exit status %d: %s", status, stderr)
	} else {
		checkHosts(t, stdout, 2)
	}
}

// TestHostsInNamespaces: each member is in a network namespace of its own, as on a host.
func TestHostsInNamespaces(t *testing.T) {
	t.Run("multicast", func(t *testing.T) { testNamespaces(t, false) })
	t.Run("none", func(t *testing.T) { testNamespaces(t, true) })
}

func testNamespaces(t *testing.T, mute bool) {
	lab, err := netlab.New(3, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	}()
	at := func(i int) func(func() error) error {
		return func(f func() error) error { return lab.Do(i, f) }
	}
	flags := []string{"--interface", netlab.Interface, "--cluster", clusterOf(t)}
	more := []string{}
	if mute {
		for i := range 3 {
			noMulticast(t, at(i))
		}
		flags = append(flags, "--seeds", fmt.Sprintf("%v:7400,%v:7400", netlab.Addr(0), netlab.Addr(1)))
		more = []string{"--transport", "fanout"}
	}
	for i := range 3 {
		_, text := spawn(t, at(i), append([]string{"member", "--port", "7400"}, flags...)...)
		defer await(t, text, 1, "done, was measured by")
		await(t, text, 1, waits)
	}
	run, text := spawn(t, at(2), short(flags, append(more, "--json", "r.json")...)...)
	if err := run.Wait(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	b, err := os.ReadFile(run.Dir + "/r.json")
	if err != nil {
		t.Fatal(err)
	}
	checkHosts(t, string(b), 3)
	seen := map[any]bool{}
	for _, h := range parse(t, b).Hosts {
		seen[h["addr"]] = true
	}
	if len(seen) != 3 {
		t.Errorf("hosts at %v, want three", seen)
	}
}

// noMulticast takes multicast from a host, both ways.
func noMulticast(t *testing.T, at func(func() error) error) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("multicast cannot be taken from a namespace: no nft here")
	}
	err := at(func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(`table ip mute {
			chain input { type filter hook input priority 0; ip daddr 224.0.0.0/4 drop; }
			chain output { type filter hook output priority 0; ip daddr 224.0.0.0/4 drop; }
		}`)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
