package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/internal/transcript"
)

// The members are this test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-name" {
		main()
		return
	}
	os.Exit(m.Run())
}

// person is a member in a process of its own.
type person struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out screen
}

type screen struct{ transcript.Transcript }

func (s *screen) lines() []string {
	return strings.Split(strings.TrimSuffix(s.String(), "\n"), "\n")
}

func enter(t *testing.T, room, name string) *person {
	t.Helper()
	p := &person{cmd: exec.Command(os.Args[0], "-name", name, "-room", room)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, t.Output()
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = p.cmd.Process.Kill(), p.cmd.Wait() }) // it may have ended
	p.sees(t, "* you are in the room: ")
	return p
}

func (p *person) says(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		t.Fatal(err)
	}
}

func (p *person) sees(t *testing.T, line string) {
	t.Helper()
	testring.Eventually(t, line, func() bool {
		return slices.ContainsFunc(p.out.lines(), func(s string) bool { return strings.HasPrefix(s, line) })
	})
}

// TestRoom is an evening of three: one leaves, one is killed.
func TestRoom(t *testing.T) {
	room := testring.Cluster(t)
	ann := enter(t, room, "ann")
	bob := enter(t, room, "bob")
	carl := enter(t, room, "carl")
	ann.sees(t, "* carl comes in: ann, bob, carl")
	var wg sync.WaitGroup
	for k, p := range []*person{ann, bob, carl} { // all at once
		wg.Go(func() {
			for n := range 20 {
				p.says(t, fmt.Sprintf("line %d of %d", n, k))
			}
		})
	}
	wg.Wait()
	for _, p := range []*person{ann, bob, carl} {
		for k, name := range []string{"ann", "bob", "carl"} {
			p.sees(t, fmt.Sprintf("%s: line 19 of %d", name, k))
		}
	}
	carl.says(t, "good night")
	carl.says(t, "/quit")
	if err := carl.cmd.Wait(); err != nil {
		t.Error(err)
	}
	ann.sees(t, "* carl leaves: ann, bob")
	if err := ann.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	bob.sees(t, "* ann is lost: bob")
	bob.says(t, "ann?")
	bob.sees(t, "bob: ann?")
	t.Logf("what bob has seen:\n%s", strings.Join(bob.out.lines(), "\n"))

	same := func(p *person) []string { // from the first line said to carl's leaving
		lines := p.out.lines()
		from := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(s, ": line 0") })
		to := slices.Index(lines, "* carl leaves: ann, bob")
		if from < 0 || to < 0 {
			t.Fatalf("%v", lines)
		}
		return lines[from : to+1]
	}
	if a, b := same(ann), same(bob); !slices.Equal(a, b) || !slices.Contains(a, "carl: good night") {
		t.Errorf("ann has seen\n%s\nand bob\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// TestWho answers in the room's order.
func TestWho(t *testing.T) {
	var out screen
	cfg := testring.Config(t, testring.Cluster(t), "ann")
	cfg.Logger = slog.New(slog.DiscardHandler)
	if err := chat(testring.Patient(t), cfg, strings.NewReader("\n/who\n bell \x07 \n"), &out); err != nil {
		t.Fatal(err)
	}
	want := []string{"* you are in the room: ann", "* ann asks who is here: ann", "ann: bell "}
	if got := out.lines(); len(got) < 3 || !slices.Equal(got[:3], want) {
		t.Errorf("%q", got)
	}
	if err := chat(testring.Patient(t), engine.Config{Interface: "lo"}, nil, &out); err == nil || !strings.Contains(err.Error(), `-name ""`) {
		t.Error(err)
	}
}
