package rsm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/netlab"
	"cohort/internal/testring"
)

// site is hosts with a process each, and what all that ever ran have written.
type site struct {
	t       *testing.T
	lab     *netlab.Lab
	cluster string
	cmds    []*exec.Cmd
	paths   []string
}

// start runs another process, whose number it returns.
func (s *site) start(host int) int {
	s.t.Helper()
	k := len(s.cmds)
	s.paths = append(s.paths, filepath.Join(s.t.TempDir(), fmt.Sprint(k)))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memberEnv+"="+s.cluster+" "+s.paths[k])
	cmd.Stderr = s.t.Output()
	_, err := cmd.StdinPipe() // it ends with this process
	if err == nil {
		err = s.lab.Do(host, cmd.Start)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmds = append(s.cmds, cmd)
	s.t.Cleanup(func() { s.kill(k) })
	return k
}

func (s *site) kill(k int) {
	_ = s.cmds[k].Process.Kill()
	_ = s.cmds[k].Wait() // it was killed
}

// plug puts a host on the network, or takes it off, and returns when that was done.
func (s *site) plug(host int, in bool) int64 {
	s.t.Helper()
	if err := s.lab.Plug(host, in); err != nil {
		s.t.Fatal(err)
	}
	return clock.Now()
}

// read returns what a process has written so far, with each request as it was last noted.
func (s *site) read(k int) map[[2]int]entry {
	s.t.Helper()
	file, err := os.Open(s.paths[k])
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has just been started
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	all := map[[2]int]entry{}
	for d := json.NewDecoder(file); ; {
		var e entry
		if err := d.Decode(&e); err == io.EOF || err == io.ErrUnexpectedEOF { // it goes on writing, or was killed
			return all
		} else if err != nil {
			s.t.Fatal(err)
		}
		all[[2]int{e.Client, e.Num}] = e
	}
}

// answered counts what a process was asked and has answered between two times.
func (s *site) answered(k int, from, to int64) (n int) {
	for _, e := range s.read(k) {
		if !e.Local && e.Return != 0 && e.Call > from && e.Return < to {
			n++
		}
	}
	return n
}

// await waits until each of these processes has answered plenty that it was asked from now on.
func (s *site) await(what string, list ...int) {
	s.t.Helper()
	const plenty = 50
	from := clock.Now()
	for end := time.Now().Add(testring.Patience); ; time.Sleep(20 * time.Millisecond) {
		busy := func(k int) bool { return s.answered(k, from, clock.Now()) >= plenty }
		if !slices.ContainsFunc(list, func(k int) bool { return !busy(k) }) {
			s.t.Logf("%s: processes %v work after %v", what, list, time.Duration(clock.Now()-from).Round(time.Millisecond))
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: not all of the processes %v have answered %d requests", what, list, plenty)
		}
	}
}

// merge is the history of what is picked.
func (s *site) merge(pick func(k int, e entry) bool) *history {
	h := &history{}
	for k := range s.cmds {
		for _, e := range s.read(k) {
			if e.Void || !pick(k, e) {
				continue
			}
			if end := h.begin(k*10+e.Client, input{e.Key, e.Add}, e.Call); e.Return != 0 {
				end(e.Output, e.Return)
			}
		}
	}
	return h
}

// cut takes a process's host off the network for a while, in which the others go on and it
// does not: what it would read without asking them is no history of one machine.
func (s *site) cut(k, host int, others ...int) {
	s.t.Helper()
	off := s.plug(host, false)
	s.await("cut", others...)
	time.Sleep(2 * silence)
	on := clock.Now()
	s.plug(host, true)
	s.await("healed", append(others, k)...)
	if n := s.answered(k, off, on); n > 0 {
		s.t.Errorf("process %d has answered %d requests while it was cut off", k, n)
	}
	local := s.merge(func(of int, e entry) bool {
		return e.Add || e.Local && of == k && e.Call > off && e.Return < on
	})
	if local.linearizable(s.t) {
		s.t.Errorf("what process %d had in its own copy while it was cut off passes for linearizable", k)
	}
}

// TestLinearizableUnderCuts: processes on hosts of their own are cut off, come back, are
// killed and replaced; clients get the history of one machine.
func TestLinearizableUnderCuts(t *testing.T) {
	lab, err := netlab.New(hosts, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close() })
	s := &site{t: t, lab: lab, cluster: testring.Cluster(t)}
	a, b, c := s.start(0), s.start(1), s.start(2)
	s.await("start", a, b, c)
	s.cut(c, 2, a, b)
	s.kill(b)
	s.await("killed", a, c)
	b = s.start(1)
	s.await("replaced", a, b, c)
	for range 3 { // too short to be expelled for, or not
		s.plug(1, false)
		time.Sleep(silence / 2)
		s.plug(1, true)
		time.Sleep(silence / 2)
	}
	s.await("shaken", a, b, c)
	s.cut(a, 0, b, c)
	for k := range s.cmds {
		s.kill(k)
	}
	untold := 0
	told := s.merge(func(_ int, e entry) bool {
		if e.Add && e.Return == 0 {
			untold++
		}
		return !e.Local
	})
	t.Logf("%d requests, of %d of which it is not known whether they were done", len(told.ops), untold)
	if !told.linearizable(t) {
		t.Errorf("not linearizable: %v", told.ops)
	}
}
