//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The members that a run starts are this test binary: vsbench starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "child" || os.Args[1] == "survivor" || os.Getenv(asVsbench) != "") {
		main()
	}
	os.Exit(m.Run())
}

// asVsbench in the environment makes the test binary vsbench.
const asVsbench = "TEST_AS_VSBENCH"

func vsbench(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = execute(args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

func TestWrongFlags(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--levels fbcast,xbcast", `--levels: "xbcast": want raw, fbcast,`},
		{"--levels safe-all-abcast", `--levels: "safe-all-abcast": want`},
		{"--levels gbcast", `--levels: "gbcast": want`},
		{"--levels raw,raw", "--levels: raw is there twice"},
		{"--levels ", "--levels"},
		{"--sizes 15", "--sizes: 15: want 16 to 16777216 bytes"},
		{"--sizes 64,16777217", "--sizes: 16777217: want 16 to 16777216 bytes"},
		{"--sizes 1k", "--sizes"},
		{"--sizes 64,64", "--sizes: 64 is there twice"},
		{"--members 1", "--members: 1: want 2 to 64 processes"},
		{"--members 65", "--members: 65: want 2 to 64 processes"},
		{"--members x", "--members"},
		{"--senders 2", `--senders: "2": want 1 or all`},
		{"--duration 19ms", "--duration: 19ms: want at least 20ms"},
		{"--duration 5", "--duration"},
		{"--runs=-1", "--runs: -1: want 1 to 100 runs"},
		{"--runs 0", "--runs: 0: want 1 to 100 runs"},
		{"--runs 101", "--runs: 101: want 1 to 100 runs"},
		{"--runs 6 --duration 119ms", "--duration: 119ms: want at least 20ms for each of 6 runs"},
		{"--load 0", "--load: 0: want 1 to 100000000 messages per second"},
		{"--load NaN", "--load: NaN: want 1 to 100000000"},
		{"--load Inf", "--load: +Inf: want 1 to 100000000"},
		{"--load 1e-300", "--load: 1e-300: want 1 to 100000000"},
		{"--network wifi", "--network"},
		{"--transport pigeon", "--transport"},
		{"--mtu 575", "--mtu: 575: want 576 to 65535 bytes"},
		{"--mtu 576 --members 64", "--mtu: 576: want 1135 to 65535 bytes for 64 members"},
		{"throughput --mtu 600 --members 2,64", "--mtu: 600: want 1135 to 65535 bytes for 64 members"},
		{"--network netns --mtu 70000", "--mtu: 70000: want"},
		{"--recv-buffer 1000", "--recv-buffer: 1000: want 65536 to 1073741824 bytes"},
		{"--recv-buffer=-1", "--recv-buffer: -1: want 65536 to 1073741824 bytes"},
		{"--loss 1", "--loss: 1: want 0 to 0.5"},
		{"--loss NaN", "--loss: NaN: want 0 to 0.5"},
		{"--join", "--interface: want that to the other hosts"},
		{"--interface eth1", "--interface: only with --join"},
		{"--cluster x", "--cluster: only with --join"},
		{"--seeds a:1", "--seeds: only with --join"},
		{"--join --interface lo --network netns", "--network: netns: not with --join"},
		{"--join --interface lo --fail-on-miss", "--targets, --fail-on-miss: not with --join"},
		{"--join --interface lo --seeds here --json -", `seed "here", want "host:port"`},
		{"member", "--interface: want that to the other hosts"},
		{"member --interface lo --port 65536", "--port: 65536: want 0 to 65535"},
		{"member --interface lo --expect 65", "--expect: 65: want 0 to 64 members"},
		{"member --interface lo --seeds=", "--seeds: want at least one value"},
		{"--join --interface lo --seeds=", "--seeds: want at least one value"},
		{"peers --program /dev/null/none", "--program: "},
		{"member --interface lo --seeds here:0", `seed "here:0" has port "0", want 1 to 65535`},
		{"--bogus", "unknown flag --bogus"},
		{"other", "unexpected argument other: want a flag or one of run, failover, latency, "},
		{"failover --faults kill-everybody", `--faults: "kill-everybody": want kill-leader, kill-member,`},
		{"failover --faults join,join", "--faults: join is there twice"},
		{"failover --members 2", "--members: 2: want 3 to 63 processes"},
		{"failover --members 64", "--members: 64: want 3 to 63 processes"},
		{"failover --kills 0", "--kills: 0: want 1 to 10000 times"},
		{"failover --rate 99", "--rate: 99: want 100 to 1000000"},
		{"failover --rate NaN", "--rate: NaN: want 100"},
		{"failover --size 7", "--size: 7: want 8 to 65536 bytes"},
		{"failover --state -1", "--state"},
		{"failover --timeout 9ms", "--timeout: 9ms: want 10ms to 1m"},
		{"failover --timeout 5", "--timeout"},
		{"failover --network wifi", "--network"},
		{"failover --levels raw", "unknown flag --levels"},
		{"latency --levels xbcast", `--levels: "xbcast": want raw, fbcast,`},
		{"latency --points 0", "--points: 0: want 0.1 to 200 percent"},
		{"latency --points NaN", "--points: NaN: want 0.1 to 200 percent"},
		{"latency --points 5,5", "--points: 5 is there twice"},
		{"latency --loads 0.5", "--loads: 0.5: want 1 to 100000000 messages per second"},
		{"latency --senders 4", "--senders: 4: want 1 to 3 members"},
		{"latency --members 65", "--members: 65: want 2 to 64 processes"},
		{"latency --duration 19ms", "--duration: 19ms: want at least 20ms"},
		{"latency --mtu 575", "--mtu: 575: want"},
		{"throughput --sizes 15", "--sizes: 15: want 16 to"},
		{"throughput --members 3,1", "--members: 1: want 2 to 64 processes"},
		{"throughput --senders 0", `--senders: "0": want all, or 1 to 3 members`},
		{"throughput --senders some", `--senders: "some": want all, or 1 to 3 members`},
		{"throughput --members 2,3 --senders 4", `--senders: "4": want all, or 1 to 3 members`},
		{"throughput --duration 5", "--duration"},
		{"soak --interval 100ms", "--interval: 100ms: want at least 120ms for 6 levels"},
		{"soak --duration 9s", "--duration: 9s: want at least the interval of 10s"},
		{"soak --load 91", "--load: 91: want 1 to 90 percent"},
		{"soak --senders 4", "--senders: 4: want 1 to 3 members"},
		{"soak --size 0", "--size: 0: want 16 to"},
		{"replay", "seed"},
		{"replay 42 --flaw TailByArrival", "--flaw TailByArrival: only churn shows it"},
		{"replay x", `replay "x": want a seed, 0 to`},
		{"replay x --tail 5", "--tail and --json: only a seed has them"},
		{"replay 1 --last 5s", "--last: 5s: only files of flight recorders have it"},
		{"replay 1 --kind other", "--kind"},
		{"replay 1 --flaw Wrong", `--flaw "Wrong": no such flaw`},
		{"replay 1 --shrink 1000001", "--shrink: 1000001: want 0 to 1000000 runs"},
		{"replay 1 --tail 5 --kind churn", "--tail: 5: only --kind fixed has it"},
		{"scale --members 2,65", "--members: 65: want 2 to 64 processes"},
		{"scale --groups 100001", "--groups: 100001: want 1 to 100000 groups"},
		{"scale --groups 0,1", "--groups: 0: want 1 to 100000 groups"},
		{"scale --groups 10,1", "--groups: [10 1]: want rising numbers"},
		{"scale --group-members 1", "--group-members: 1: want 2 to 64 processes"},
		{"scale --join-limit 0s", "--join-limit: 0s: want at least 1ms"},
		{"scale --size 15", "--size: 15: want 16 to"},
		{"scale --senders 2", "--senders"},
		{"scale --members 0 --levels raw", "--levels: raw has no groups, and no --members: nothing to measure"},
		{"failover --faults partition", "--faults: partition: on loopback members have no link that could be cut; --network netns has: nothing to measure"},
		{"scale --load 0", "--load: 0: want 1 to 100000000 messages per second"},
	} {
		status, stdout, stderr := vsbench(strings.Split(c.args, " ")...)
		if status != exitUsage {
			t.Errorf("%s: exit status %d, want %d", c.args, status, exitUsage)
		}
		if !strings.HasPrefix(stderr, "vsbench: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: standard error %q, want one line with %q", c.args, stderr, c.says)
		}
		if stdout != "" {
			t.Errorf("%s: standard output %q", c.args, stdout)
		}
	}
}

func TestHelpExplainsEveryFlag(t *testing.T) {
	ofRun := []string{"--levels", "--sizes", "--members", "--senders", "--runs", "--duration", "--load", "--network", "--transport", "--mtu", "--recv-buffer", "--loss", "--json", "--hdr", "--targets", "--interface", "--cluster", "--seeds"}
	ofMember := []string{"--interface", "--cluster", "--seeds", "--port", "--expect"}
	ofFailover := []string{"--faults", "--members", "--kills", "--rate", "--size", "--state", "--timeout", "--network", "--json"}
	ofLatency := []string{"--levels", "--sizes", "--members", "--senders", "--duration", "--points", "--loads", "--network", "--mtu", "--json"}
	for _, c := range []struct{ args, flags []string }{
		{[]string{"latency", "-h"}, ofLatency}, {[]string{"member", "-h"}, ofMember},
		{[]string{"replay", "-h"}, []string{"--kind", "--flaw", "--shrink", "--tail", "--last", "--json"}},
		{[]string{"soak", "-h"}, []string{"--levels", "--size", "--members", "--senders", "--duration", "--interval", "--load", "--network", "--mtu", "--json"}},
		{[]string{"scale", "-h"}, []string{"--levels", "--members", "--groups", "--group-members", "--join-limit", "--size", "--senders", "--duration", "--load", "--network", "--mtu", "--json"}},
		{[]string{"throughput", "-h"}, []string{"--levels", "--sizes", "--members", "--senders", "--duration", "--network", "--mtu", "--json"}},
		{[]string{"-h"}, ofRun}, {[]string{"run", "-h"}, ofRun}, {[]string{"failover", "-h"}, ofFailover},
	} {
		args := c.args
		status, stdout, stderr := vsbench(args...)
		if status != exitOK || stderr != "" {
			t.Errorf("%q: exit status %d, standard error %q", args, status, stderr)
		}
		if !strings.Contains(stdout, "Exit status: 0 all was measured") || !strings.Contains(stdout, "Examples:\n\n    vsbench") {
			t.Errorf("%q does not tell the exit statuses, or has no examples:\n%s", args, stdout)
		}
		for _, flag := range c.flags {
			_, after, ok := strings.Cut(stdout, "\n      "+flag+"=")
			if !ok {
				t.Errorf("%q does not list %s:\n%s", args, flag, stdout)
				continue
			}
			help, _, _ := strings.Cut(after, "\n      --")
			if !strings.Contains(help, "Default:") {
				t.Errorf("%q: %s has no default:\n%s", args, flag, help)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	if status, stdout, _ := vsbench("--version"); status != exitOK || !strings.HasPrefix(stdout, "vsbench ") || !strings.Contains(stdout, "go1.") {
		t.Errorf("exit status %d, standard output %q", status, stdout)
	}
}

type document struct {
	Schema   int
	Command  string
	ElapsedS float64 `json:"elapsed_s"`
	Machine  map[string]any
	Settings map[string]any
	Members  []map[string]any
	Hosts    []map[string]any
	Rows     []map[string]any
	Idle     []map[string]any
	Targets  map[string]any
	Groups   []map[string]any
	Health   []map[string]any
	Totals   []map[string]any
	Drift    []map[string]any

	Interrupted bool
	Incomplete  string
	Unmeasured  []string
}

func parse(t *testing.T, b []byte) (d document) {
	t.Helper()
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("results are not JSON: %v\n%s", err, b)
	}
	return d
}

func TestRunOnLoopback(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "r.json")
	status, stdout, stderr := vsbench("--levels", "raw,safe-abcast", "--sizes", "64", "--senders", "all", "--duration", "200ms", "--json", path)
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if !strings.Contains(stdout, "safe-abcast") || !strings.Contains(stderr, "[24/24]") || !strings.Contains(stderr, path) {
		t.Errorf("standard output\n%s\nstandard error\n%s", stdout, stderr)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, b)
	if d.Command != "run" {
		t.Errorf("the document is of %q", d.Command)
	}
	if len(d.Rows) != 2 || len(d.Idle) != 2 || len(d.Members) != 3 {
		t.Fatalf("%d rows, %d idle, %d members; want 2, 2, 3", len(d.Rows), len(d.Idle), len(d.Members))
	}
	r := d.Rows[1]
	if r["level"] != "safe-abcast" || r["senders"] != 3.0 || r["verified"] != true || r["network"] != "loopback" || r["ratio_raw"] == nil || r["ratio_fbcast"] != nil {
		t.Errorf("row %v", r)
	}
	if runs := r["runs"].([]any); len(runs) != 6 || r["intervals"].(map[string]any)["ratio_raw"] == nil {
		t.Errorf("%d runs, intervals %v; want 6, with one of ratio_raw", len(runs), r["intervals"])
	}
	if r["msgs_per_s"].(float64) <= 0 || r["p50_us"].(float64) <= 0 || r["cpu_us_per_msg"].(float64) <= 0 {
		t.Errorf("row %v measured nothing", r)
	}
}

// TestReceiveBuffersOfAnOrdinaryUser: where nobody has raised the system's limit a window holds few
// packets.
func TestReceiveBuffersOfAnOrdinaryUser(t *testing.T) {
	status, stdout, stderr := vsbench("--levels=raw,fbcast,safe-abcast", "--sizes=64,8192", "--duration=120ms", "--recv-buffer=425984", "--json=-")
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	d := parse(t, []byte(stdout))
	if len(d.Rows) != 12 || d.Settings["recv_buffer"] != 425984.0 || !strings.Contains(stderr, "receive buffers of 416 KiB") {
		t.Errorf("%d rows, settings %v, want 12 with receive buffers of 416 KiB:\n%s", len(d.Rows), d.Settings, stderr)
	}
	for _, r := range d.Rows {
		if len(r["runs"].([]any)) != 6 || r["msgs_per_s"].(float64) <= 0 || r["level"] != "raw" && r["verified"] != true {
			t.Errorf("row %v", r)
		}
	}
}

// writeFile writes a file of the test's own and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFanOut: the engine's rows and raw's go to each member by unicast, and the results
// say so.
func TestFanOut(t *testing.T) {
	status, stdout, stderr := vsbench("--transport", "fanout", "--levels", "raw,cbcast", "--sizes", "1024", "--senders", "all", "--duration", "200ms", "--json", "-")
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	d := parse(t, []byte(stdout))
	if d.Settings["transport"] != "fanout" || len(d.Rows) != 2 || len(d.Idle) != 2 || d.Rows[0]["msgs_per_s"].(float64) <= 0 {
		t.Errorf("settings %v, rows %v", d.Settings, d.Rows)
	}
	for _, m := range d.Members {
		if f := m["engine"].(map[string]any)["multicast"].(map[string]any); f["on"] != false {
			t.Errorf("member %v: multicast %v", m["rank"], f)
		}
	}
	if !strings.Contains(stderr, "by unicast to each") {
		t.Errorf("the table does not say how: %s", stderr)
	}
}

func TestJSONOnStandardOutput(t *testing.T) {
	status, stdout, stderr := vsbench("run", "--levels=fbcast", "--sizes=4096", "--senders=1", "--members=2", "--duration=100ms", "--mtu=1500", "--json=-")
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	d := parse(t, []byte(stdout))
	if len(d.Rows) != 1 || d.Rows[0]["members"] != 2.0 || d.Rows[0]["size_bytes"] != 4096.0 {
		t.Errorf("rows %v", d.Rows)
	}
	if segment := d.Members[0]["engine"].(map[string]any)["segment"]; segment != 1472.0 {
		t.Errorf("segment %v at --mtu 1500, want 1472", segment)
	}
	if !strings.Contains(stderr, "x fbcast") {
		t.Errorf("no table on standard error:\n%s", stderr)
	}
}

func TestLossIsRepairedAndTold(t *testing.T) {
	status, stdout, stderr := vsbench("run", "--levels=abcast", "--sizes=1024", "--senders=all", "--duration=200ms", "--loss=0.05", "--json=-")
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	d := parse(t, []byte(stdout))
	if r := d.Rows[0]; r["verified"] != true || r["retransmitted_packets"].(float64) == 0 || d.Settings["loss"] != 0.05 {
		t.Errorf("settings %v, row %v: want losses that were repaired", d.Settings, r)
	}
	if !strings.Contains(stderr, "each member losing 5 % of the packets") {
		t.Errorf("the table does not tell of the loss:\n%s", stderr)
	}
}

// start starts vsbench as a process of its own and waits for its first row.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asVsbench+"=1")
	cmd.Dir = t.TempDir()
	stderr = &bytes.Buffer{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stderr
}

func TestInterrupt(t *testing.T) {
	cmd, stderr := start(t, "--levels", "fbcast", "--duration", "1m")
	children := waitForChildren(t, cmd.Process.Pid, 3)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit status %d, want %d: %s", code, exitInterrupted, stderr)
	}
	if !strings.Contains(stderr.String(), "vsbench: interrupted\n") {
		t.Errorf("standard error %q", stderr)
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("member %d still runs: %v", pid, err)
		}
	}
}

func TestKilledMemberFailsTheRun(t *testing.T) {
	cmd, stderr := start(t, "--levels", "fbcast", "--duration", "1m")
	children := waitForChildren(t, cmd.Process.Pid, 3)
	if err := syscall.Kill(children[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit status %d, want %d", code, exitFailed)
	}
	if s := stderr.String(); !strings.Contains(s, "ended before it answered") || !strings.Contains(s, "signal: killed") {
		t.Errorf("standard error %q does not say that a member was killed", s)
	}
}

func waitForChildren(t *testing.T, pid, n int) []int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c := children(pid); len(c) == n {
			time.Sleep(500 * time.Millisecond) // let them get to work
			slices.Sort(c)
			return c
		}
	}
	t.Fatalf("vsbench did not start %d members", n)
	return nil
}
