package durable

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/toolkit/rsm"
)

// memberEnv has the test's program be a member: the cluster and the folder.
const memberEnv = "COHORT_DURABLE_MEMBER"

func TestMain(m *testing.M) {
	text := os.Getenv(memberEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	cluster, dir, _ := strings.Cut(text, " ")
	if err := serve(cluster, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve is a member: each line that comes in is proposed, by several at a time, and
// "PLACE LINE" goes out when it is acknowledged. The line "read" has all of the lines go out.
func serve(cluster, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	storage, err := Open(dir)
	if err != nil {
		return err
	}
	node, err := engine.Open(ctx, engine.Config{
		Cluster: cluster, Interface: "lo", Expect: disks, Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	app := &lines{}
	r, err := rsm.JoinDurable(ctx, node, "lines", app, rsm.Durability{Storage: storage, Disks: disks, LogLimit: 5000})
	if err != nil {
		return err
	}
	var mu sync.Mutex // of the output
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		line := in.Text()
		go func() {
			if line == "read" {
				var all []byte
				if err := r.Read(ctx, func() { all, _ = json.Marshal(app.list) }); err == nil {
					say("all %s", all)
				}
				return
			}
			if place, err := r.Propose(ctx, []byte(line)); err == nil {
				say("%s %s", place, line)
			}
		}()
	}
	return nil
}

// process is a member that runs.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	all chan []string // what it has read
}

// group is processes that come and go, with the folders that stay.
type group struct {
	t       *testing.T
	cluster string
	dirs    []string
	mu      sync.Mutex
	acked   map[int]string // by place
	drawn   int
}

func (g *group) start(i int) *process {
	p := &process{cmd: exec.Command(os.Args[0]), all: make(chan []string, 1)}
	p.cmd.Env = append(os.Environ(), memberEnv+"="+g.cluster+" "+g.dirs[i])
	p.cmd.Stderr = os.Stderr
	var err error
	p.in, err = p.cmd.StdinPipe()
	ok(g.t, err)
	out, err := p.cmd.StdoutPipe()
	ok(g.t, err)
	ok(g.t, p.cmd.Start())
	go func() {
		s := bufio.NewScanner(out)
		for s.Buffer(nil, 1<<24); s.Scan(); {
			g.hear(p, s.Text())
		}
	}()
	return p
}

func (g *group) hear(p *process, text string) {
	what, rest, _ := strings.Cut(text, " ")
	if what == "all" {
		var list []string
		if err := json.Unmarshal([]byte(rest), &list); err != nil {
			g.t.Errorf("%q: %v", text, err)
		}
		p.all <- list
		return
	}
	var place int
	if _, err := fmt.Sscan(what, &place); err != nil {
		return // of the test's framework
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, there := g.acked[place]; there && old != rest {
		g.t.Errorf("place %d has %q, and is given to %q", place, old, rest)
	}
	g.acked[place] = rest
}

// kill ends a process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
}

func (g *group) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.acked)
}

// propose hands lines to the members until so many more have been acknowledged.
func (g *group) propose(list []*process, more int) {
	g.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for want := g.count() + more; g.count() < want; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("%d of %d are acknowledged after 30 s", g.count(), want)
		}
		for _, p := range list {
			g.drawn++
			if _, err := fmt.Fprintln(p.in, "line", g.drawn); err != nil {
				g.t.Fatal(err)
			}
		}
	}
}

// compare has each member read, and finds every acknowledged line in its place.
func (g *group) compare(life int, list []*process) {
	g.t.Helper()
	g.mu.Lock()
	acked := make(map[int]string, len(g.acked))
	for place, line := range g.acked {
		acked[place] = line
	}
	g.mu.Unlock()
	for _, p := range list {
		_, err := fmt.Fprintln(p.in, "read")
		ok(g.t, err)
		select {
		case all := <-p.all:
			for place, line := range acked {
				if place >= len(all) || all[place] != line {
					g.t.Fatalf("life %d: %q was acknowledged at %d, and is not there, of %d", life, line, place, len(all))
				}
			}
		case <-time.After(30 * time.Second):
			g.t.Fatalf("life %d: no answer to a read", life)
		}
	}
}

// TestAllAreKilled: processes under load are killed all at once, and come back in any
// order, two or three of them: all that was acknowledged is there.
func TestAllAreKilled(t *testing.T) {
	g := &group{t: t, acked: map[int]string{}, cluster: fmt.Sprintf("%s-%x", t.Name(), rand.Uint64())}
	for i := range disks {
		g.dirs = append(g.dirs, filepath.Join(t.TempDir(), fmt.Sprint(i)))
	}
	for life := range 6 {
		order := rand.Perm(disks)
		if life > 0 && life%2 == 0 {
			order = order[:disks-1]
		}
		var list []*process
		for _, i := range order {
			list = append(list, g.start(i))
		}
		t.Cleanup(func() {
			for _, p := range list {
				p.kill()
			}
		})
		g.compare(life, list)
		g.propose(list, 300)
		if len(list) == disks { // one is killed, and comes back while the others go on
			list[0].kill()
			g.propose(list[1:], 100)
			list[0] = g.start(order[0])
			g.compare(life, list)
			g.propose(list, 100)
		}
		var work sync.WaitGroup
		for _, p := range list {
			work.Go(p.kill)
		}
		work.Wait()
	}
	places := make([]int, 0, len(g.acked))
	for place := range g.acked {
		places = append(places, place)
	}
	t.Logf("%d lines acknowledged, the last at %d", len(places), slices.Max(places))
}
