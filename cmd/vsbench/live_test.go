//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"cohort/internal/bench/course"
	"cohort/internal/bench/member"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/creack/pty"
)

var shortRun = []string{"throughput", "--levels", "abcast", "--sizes", "64", "--members", "2", "--senders", "all", "--duration", "400ms", "--json", "-"}

func TestMembersAreShownOnATerminal(t *testing.T) {
	screen, tty, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	defer screen.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 40, Cols: 200}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], shortRun...)
	cmd.Env, cmd.Stderr = append(os.Environ(), asVsbench+"=1"), tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	var shown bytes.Buffer
	_, _ = io.Copy(&shown, screen) // ends in an error once the last process has closed the other side
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, &shown)
	}
	for _, want := range []string{
		`0/1 rows .*--:-- left`,
		`member 0  [0-9.]+[kM]? msgs/s  dropped \d+  resent \d+  token passed [0-9.]+[kM]?/s`,
		`member 1  [0-9.]+[kM]? msgs/s`,
	} {
		if !regexp.MustCompile(want).Match(shown.Bytes()) {
			t.Errorf("nothing like %q on the terminal:\n%q", want, &shown)
		}
	}
}

func TestPlainLinesWithoutATerminal(t *testing.T) {
	status, _, stderr := vsbench(shortRun...)
	want := regexp.MustCompile(`(?m)^\[1/1\] abcast, 64 B, 2 sending of 2: [0-9.]+[kM]? msgs/s, \d+ MB/s$`)
	if status != exitOK || !want.MatchString(stderr) || strings.Contains(stderr, "member 0  ") || strings.Contains(stderr, "\x1b") {
		t.Errorf("exit status %d, want a line like %q, and nothing for terminals:\n%s", status, want, stderr)
	}
}

func TestLinesOfMembers(t *testing.T) {
	h := hdrhistogram.New(1, 1e9, 3)
	for range 98 {
		_ = h.RecordValue(84_000)
	}
	_ = h.RecordValues(312_000, 2)
	hist, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	got := memberLines(&course.Figures{Members: []member.Measured{
		{Delivered: 3000, Last: 2e9, Dropped: 3, Retransmitted: 4, Histogram: string(hist),
			Flow: &member.Flow{TokenPasses: 500, WindowBytes: 63, WindowLimit: 100}},
		{Delivered: 1, Flow: &member.Flow{TokenPasses: 1, WindowLimit: 100}},
		{Delivered: 2, Last: 1e9, Histogram: "bad"},
	}})
	want := []string{
		"member 0  1.50k msgs/s  p50 84 µs  p99 312 µs  dropped 3  resent 4  token passed 250/s  window 63 %",
		"member 1  dropped 0  resent 0",
		"member 2  2 msgs/s  dropped 0  resent 0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
