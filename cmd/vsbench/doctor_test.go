//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cohort/internal/doctor"
	"cohort/internal/netlab"
	"cohort/tuning"
)

func TestDoctorWrongFlags(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--group 192.0.2.1:7", `--group: "192.0.2.1:7": want an IPv4 address in 224.0.0.0/4 and a port`},
		{"--group 239.1.1.1:0", "--group"},
		{"--peer host", `--peer: "host": want the IPv4 address of another host`},
		{"--peer 239.1.1.1", "--peer"},
		{"--peer 192.0.2.7", "--interface: lo: leads to no other host: want the one to 192.0.2.7"},
		{"--interface 127.0.0.1 --peer 192.0.2.7", "--interface: 127.0.0.1: leads to no other host"},
		{"--listen --apply", "--listen and --apply: want one of them"},
		{"--peer 127.0.0.1 --undo", "--peer and --undo: want one of them"},
		{"--listen --json x", "--json: --listen finds nothing to write"},
		{"--state=", "--state: want the name of a file"},
	} {
		status, stdout, stderr := vsbench(append([]string{"doctor"}, strings.Split(c.args, " ")...)...)
		if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit status %d, standard output %q, standard error %q, want one line with %q", c.args, status, stdout, stderr, c.says)
		}
	}
}

// TestDoctorBrokenState: a file that is none is a wrong flag, and told before anything is measured.
func TestDoctorBrokenState(t *testing.T) {
	for _, text := range []string{"not json", `{"schema":2,"changes":[]}`} {
		state := writeFile(t, "undo.json", text)
		for _, mode := range []string{"--undo", "--apply"} {
			status, stdout, stderr := vsbench("doctor", mode, "--state", state)
			if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "vsbench: --state: ") || !strings.Contains(stderr, state) {
				t.Errorf("%s of %q: exit status %d, standard output %q, standard error %q", mode, text, status, stdout, stderr)
			}
		}
	}
}

func TestDoctorHelp(t *testing.T) {
	status, stdout, _ := vsbench("doctor", "-h")
	for _, says := range []string{"Exit status: 0 nothing needs attention", "vsbench doctor --interface eth1 --peer", "--interface=", "--listen", "--apply", "--undo", "--state="} {
		if status != exitOK || !strings.Contains(stdout, says) {
			t.Errorf("exit status %d, help without %q:\n%s", status, says, stdout)
		}
	}
}

func TestDoctorOnLoopback(t *testing.T) {
	status, stdout, stderr := vsbench("doctor", "--json", "-")
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if r.Schema != 1 || r.Facts.Link.Name != "lo" || r.SelfTest == nil || r.SelfTest.PlainMBs <= 0 || r.Path != nil {
		t.Errorf("%+v", r)
	}
	if want := min(r.Attention, exitFailed); status != want {
		t.Errorf("exit status %d with %d findings that need attention, want %d: %s", status, r.Attention, want, stderr)
	}
	if !strings.Contains(stderr, "self-test over lo") || (r.Attention == 0) != strings.Contains(stderr, "fit: nothing needs attention") {
		t.Errorf("standard error:\n%s", stderr)
	}
	for _, f := range r.Findings {
		if f.ID == tuning.IDRecvBuffer && !strings.Contains(f.Gain, "of a burst of") {
			t.Errorf("the gain of receive buffers was not measured: %+v", f)
		}
	}
}

func TestDoctorOfNoInterface(t *testing.T) {
	if status, _, stderr := vsbench("doctor", "--interface", "eth77"); status != exitUsage || !strings.Contains(stderr, `"eth77"`) || !strings.Contains(stderr, "there are") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

// Two hosts, and a filter at one of them that drops multicast: the doctor says so.
func TestDoctorPeer(t *testing.T) {
	lab, err := netlab.New(2, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed, so that no packets can be lost")
	}
	err = lab.Do(1, func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader("table ip t {\nchain input { type filter hook input priority 0; ip daddr 224.0.0.0/4 drop\n}\n}\n")
		return cmd.Run()
	})
	if err != nil {
		t.Skipf("nft cannot make rules in a namespace: %v", err)
	}
	listener := make(chan string, 1)
	go func() {
		_ = lab.Do(1, func() error {
			status, stdout, stderr := vsbench("doctor", "--listen", "--interface", netlab.Interface)
			if status != exitOK {
				t.Errorf("listener: exit status %d: %s", status, stderr)
			}
			listener <- stdout
			return nil
		})
	}()
	var status int
	var stdout, stderr string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_ = lab.Do(0, func() error {
			status, stdout, stderr = vsbench("doctor", "--peer", "198.18.0.2", "--interface", netlab.Interface)
			return nil
		})
		if !strings.Contains(stderr, "refused") || time.Now().After(deadline) { // else it does not listen yet
			break
		}
	}
	if status != exitFailed || !strings.Contains(stdout, "1. multicast does not arrive from here (198.18.0.1) at 198.18.0.2") || !strings.Contains(stdout, "multicast out 0 of 400 packets\n") {
		t.Fatalf("exit status %d:\n%s%s", status, stdout, stderr)
	}
	if said := <-listener; said != "answered 198.18.0.1, which shows what was found\n" {
		t.Errorf("listener said %q", said)
	}
}

// On a machine of files: what needs attention is changed and shown, and taken back.
func TestDoctorApplyAndUndo(t *testing.T) {
	dir := t.TempDir()
	setting := filepath.Join(dir, "proc/sys/net/core/rmem_max")
	if err := os.MkdirAll(filepath.Dir(setting), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(setting, []byte("212992\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	c := &doctorCmd{Interface: "lo", Group: "239.255.77.96:7499", State: filepath.Join(dir, "state", "undo.json")}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	c.open = func() (tuning.Settings, func() error, error) {
		return tuning.Files{Root: root}, func() error { return nil }, nil
	}
	change := tuning.Change{Setting: "/proc/sys/net/core/rmem_max", Old: "212992", New: "16777216"}
	r := &doctor.Report{Findings: []tuning.Finding{
		{ID: "slow", Severity: tuning.Slow, Changes: []tuning.Change{change}},
		{ID: "note", Severity: tuning.Note, Changes: []tuning.Change{{Setting: "/proc/sys/absent", New: "1"}}},
	}}
	var out, errs strings.Builder
	_ = c.apply(t.Context(), r, &out, &errs) // its error is about this machine, which is looked at again
	if want := "/proc/sys/net/core/rmem_max: 212992 -> 16777216\n"; out.String() != want {
		t.Errorf("apply said %q, want %q", out.String(), want)
	}
	if b, _ := os.ReadFile(setting); string(b) != "16777216\n" {
		t.Errorf("the setting is %q", b)
	}
	c.Undo = true
	for _, want := range []string{"/proc/sys/net/core/rmem_max: 16777216 -> 212992\n", "nothing to change\n"} {
		out.Reset()
		if err := c.measure(t.Context(), &out, &errs); err != nil || out.String() != want {
			t.Errorf("undo said %q, want %q: %v", out.String(), want, err)
		}
	}
	if b, _ := os.ReadFile(setting); string(b) != "212992\n" {
		t.Errorf("the setting is %q", b)
	}
}
