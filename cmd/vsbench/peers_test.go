//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPeersWrongFlags(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--levels raft,zookeeper", `--levels: "zookeeper": want raft, nats, jetstream, or a level of run`},
		{"--levels raft,raft", "--levels: raft is there twice"},
		{"--sizes 15", "--sizes: 15: want 16 to 1048576 bytes"},
		{"--sizes 1048577", "--sizes: 1048577: want 16 to 1048576 bytes"},
		{"--senders 3", `--senders: "3": want 1 or all`},
		{"--duration 19ms", "--duration: 19ms: want at least 20ms"},
		{"--load NaN", "--load: NaN: want 1 to 100000000"},
		{"--members 3", "unknown flag --members"},
	} {
		status, stdout, stderr := vsbench(append([]string{"peers"}, strings.Split(c.args, " ")...)...)
		if status != exitUsage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit status %d, standard output %q, standard error %q; want %d and one line with %q", c.args, status, stdout, stderr, exitUsage, c.says)
		}
	}
	_, stdout, _ := vsbench("peers", "-h")
	for _, flag := range []string{"levels", "sizes", "senders", "runs", "duration", "load", "program", "json"} {
		if !strings.Contains(stdout, "\n      --"+flag+"=") {
			t.Errorf("help does not list --%s:\n%s", flag, stdout)
		}
	}
}

// TestPeersNeedTheirProgram: what is missing is said before anything is measured.
func TestPeersNeedTheirProgram(t *testing.T) {
	json := filepath.Join(t.TempDir(), "r.json")
	refused := func(says string, args ...string) {
		t.Helper()
		status, _, stderr := vsbench(append([]string{"peers", "--levels", "raft", "--json", json}, args...)...)
		if status != exitFailed || !strings.Contains(stderr, says) {
			t.Errorf("%q: exit status %d, standard error %q; want %d and %q", args, status, stderr, exitFailed, says)
		}
	}
	refused(`): ended before it answered "open": exit status 1`, "--program", "false")

	elsewhere := t.TempDir()
	t.Chdir(elsewhere)
	refused("is not in a checkout of this module")
	if err := os.Mkdir("peers", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "peers/go.mod"} {
		if err := os.WriteFile(name, []byte(thisModule), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	refused("build " + filepath.Join(elsewhere, "peers")) // there is nothing to build
	t.Setenv("PATH", "")
	refused("there is no go command")
}

// TestPeersDocument: engine's levels alone need no program; the document says
// what it is.
func TestPeersDocument(t *testing.T) {
	status, stdout, stderr := vsbench("peers", "--levels=abcast", "--sizes=64", "--senders=1", "--duration=100ms", "--json=-")
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	var d struct {
		document
		Command string
		Peers   []map[string]any
	}
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	if d.Command != "peers" || d.Schema != 1 || len(d.Rows) != 1 || d.Rows[0]["level"] != "abcast" || d.Rows[0]["verified"] != true || len(d.Peers) != 0 {
		t.Errorf("document %+v", d)
	}
}
