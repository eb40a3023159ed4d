package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cohort/internal/netlab"
)

// children returns the processes whose parent is pid.
func children(pid int) (list []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		var child, parent int
		var state string
		_, after, _ := strings.Cut(string(b), ") ")
		if _, err := fmt.Sscanf(after, "%s %d", &state, &parent); err != nil || parent != pid {
			continue
		}
		if _, err := fmt.Sscanf(string(b), "%d", &child); err == nil {
			list = append(list, child)
		}
	}
	return list
}

func TestRunInNamespaces(t *testing.T) {
	lab, err := netlab.New(1, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := vsbench("--network", "netns", "--levels", "raw,cbcast", "--sizes", "1024", "--senders", "all", "--duration", "200ms", "--json", "-")
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	d := parse(t, []byte(stdout))
	if d.Rows[1]["network"] != "netns" || d.Settings["mtu"] != 1500.0 || d.Settings["interface"] != "eth0" {
		t.Errorf("row %v, settings %v", d.Rows[1], d.Settings)
	}
	for _, m := range d.Members {
		for _, s := range []string{"engine", "raw"} {
			if f := m[s].(map[string]any); f["segment"] != 1472.0 || f["interface"] != "eth0" {
				t.Errorf("member %v: %s sockets %v, want packets of 1472 bytes on eth0", m["rank"], s, f)
			}
		}
	}
}
