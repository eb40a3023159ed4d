package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"cohort/engine"
)

// child is a member in a process of its own.
type child struct {
	name string
	cmd  *exec.Cmd
	in   io.Closer
}

// stage is where the members play.
type stage struct {
	out      io.Writer
	children []*child
	reading  sync.WaitGroup

	mu      sync.Mutex
	began   int    // members that have had a tick
	primary string // the last that said that it publishes
	ready   chan struct{}
	ended   chan string // members that say nothing any more
}

// demo runs two publishers and some subscribers, kills the primary, and lets all tell
// what they have seen.
func demo(out io.Writer, cfg engine.Config, every, length time.Duration, subscribers int) error {
	names := []string{"publisher-1", "publisher-2"}
	for k := range subscribers {
		names = append(names, fmt.Sprint("subscriber-", k+1))
	}
	s := &stage{out: out, ready: make(chan struct{}), ended: make(chan string, len(names))}
	defer s.kill("")
	for _, name := range names {
		role, _, _ := strings.Cut(name, "-")
		err := s.start(name, len(names), "-role", role, "-name", name, "-cluster", cfg.Cluster, "-interface", cfg.Interface,
			"-expect", fmt.Sprint(len(names)), "-every", every.String())
		if err != nil {
			return err
		}
	}
	select {
	case <-s.ready:
	case name := <-s.ended:
		return fmt.Errorf("%s has ended before all had a tick", name)
	case <-time.After(30 * time.Second):
		return errors.New("not all have had a tick after 30 s")
	}
	time.Sleep(length)
	s.mu.Lock()
	primary := s.primary
	fmt.Fprintf(out, "\n%s is killed\n", primary)
	s.mu.Unlock()
	s.kill(primary)
	time.Sleep(length)
	return s.end(primary)
}

// kill kills a member, or, without a name, whoever is left.
func (s *stage) kill(name string) {
	for _, c := range s.children {
		if name == "" || c.name == name {
			_ = c.cmd.Process.Kill() // it may have ended
		}
	}
}

// end has all members but the one who was killed end in good order.
func (s *stage) end(killed string) error {
	for _, c := range s.children {
		_ = c.in.Close() // of the killed one it is closed
	}
	s.reading.Wait()
	var errs []error
	for _, c := range s.children {
		if err := c.cmd.Wait(); err != nil && c.name != killed {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}

// line takes what a member says.
func (s *stage) line(by, text string, members int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out, text)
	switch {
	case strings.Contains(text, ": publishes, from"):
		s.primary = by
	case strings.Contains(text, " begins with tick"):
		if s.began++; s.began == members {
			close(s.ready)
		}
	}
}

// start runs this program as a member, one of so many.
func (s *stage) start(name string, members int, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.children = append(s.children, &child{name, cmd, in})
	s.reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.line(name, lines.Text(), members)
		}
		s.ended <- name
	})
	return nil
}
