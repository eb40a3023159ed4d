package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

const patience = 30 * time.Second // for what a member should say soon

// exchange is the members, and what their traders were told.
type exchange struct {
	options
	out     io.Writer
	reading sync.WaitGroup
	mu      sync.Mutex
	acked   map[string]int // orders of each trader
}

// process is a member in a process of its own.
type process struct {
	name    string
	traders []string
	cmd     *exec.Cmd
	in      io.WriteCloser
	lines   chan string // what it says, but for acknowledgements; closed when it has ended
}

// demo opens the exchange, kills a member, replaces it, and compares at the end.
func demo(ctx context.Context, o options, out io.Writer) error {
	x := &exchange{options: o, out: out, acked: map[string]int{}}
	defer x.reading.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	list := make([]*process, members)
	for i, traders := range [][]string{{"ann", "bob"}, {"cy", "dora"}, {"eve", "finn"}} {
		var err error
		if list[i], err = x.start(ctx, fmt.Sprint("member-", i+1), traders...); err != nil {
			return err
		}
	}
	for _, p := range list {
		if err := x.opened(p); err != nil {
			return err
		}
	}
	time.Sleep(o.length)
	s, _, err := x.sum(list[0])
	if err != nil {
		return err
	}
	victim := list[1]
	fmt.Fprintf(out, "\n%s\n%s is killed, after %d trades\n", s.Board, victim.name, s.Trades)
	_ = victim.cmd.Process.Kill() // if it has ended, that shows below
	if list[1], err = x.start(ctx, "member-4", victim.traders...); err != nil {
		return err
	}
	if err := x.opened(list[1]); err != nil {
		return err
	}
	time.Sleep(o.length)
	return x.end(list, victim)
}

// start starts a member, which leaves when the context ends.
func (x *exchange) start(ctx context.Context, name string, traders ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-member", name, "-traders", strings.Join(traders, ","), "-cluster", x.cluster, "-interface", x.iface, "-every", x.every.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel, cmd.WaitDelay = in.Close, patience // that is its word to leave
	says, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name, traders, cmd, in, make(chan string, 8)} // more than it is asked for
	x.reading.Go(func() {
		for s := bufio.NewScanner(says); s.Scan(); {
			if trader, ok := strings.CutPrefix(s.Text(), "ack "); ok {
				x.mu.Lock()
				x.acked[trader]++
				x.mu.Unlock()
			} else {
				p.lines <- s.Text()
			}
		}
		close(p.lines)
		_ = cmd.Wait() // one was killed; of others it shows in what they say
	})
	return p, nil
}

// hear waits for a line that begins with the word, and returns the rest.
func (p *process) hear(word string) (string, error) {
	select {
	case line, ok := <-p.lines:
		first, rest, _ := strings.Cut(line, " ")
		if !ok || first != word {
			return "", fmt.Errorf("%s says %q, want %s", p.name, line, word)
		}
		return rest, nil
	case <-time.After(patience):
		return "", fmt.Errorf("%s does not say %s for %v", p.name, word, patience)
	}
}

func (x *exchange) opened(p *process) error {
	trades, err := p.hear("in")
	if err == nil {
		fmt.Fprintf(x.out, "%s is in, with %s trades in its book, and %s trade there\n", p.name, trades, strings.Join(p.traders, " and "))
	}
	return err
}

// sum asks a member for its sum; also as it has written it.
func (x *exchange) sum(p *process) (s sum, line string, err error) {
	_, _ = fmt.Fprintln(p.in, "sum") // if it has ended, hear says so
	if line, err = p.hear("sum"); err == nil {
		err = json.Unmarshal([]byte(line), &s)
	}
	return s, line, err
}

// end closes the exchange, and has all members tell.
func (x *exchange) end(list []*process, killed *process) error {
	for _, p := range list {
		_, _ = fmt.Fprintln(p.in, "stop")
	}
	for _, p := range list {
		if _, err := p.hear("stopped"); err != nil {
			return err
		}
	}
	for range killed.lines { // until all that its traders were told is counted
	}
	var last sum
	for i, p := range list {
		s, line, err := x.sum(p)
		if err != nil {
			return err
		}
		if i == 0 {
			last = s
			fmt.Fprintf(x.out, "\n%s\n", s.Board)
		}
		fmt.Fprintf(x.out, "%s: %d trades, digest %s, best bid %s, best ask %s\n", p.name, s.Trades, s.Digest, money(s.Bid.Price), money(s.Ask.Price))
		if want, _ := json.Marshal(last); line != string(want) {
			return fmt.Errorf("%s does not agree with %s: %s and %s", p.name, list[0].name, line, want)
		}
	}
	return x.count(last, killed.traders)
}

// count compares what the book has taken with what the traders were told. Of those whose
// member was killed each may have had one order under way.
func (x *exchange) count(s sum, cut []string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	acked, untold := 0, 0
	for _, trader := range slices.Sorted(maps.Keys(x.acked)) {
		more := s.Orders[trader] - x.acked[trader]
		if more != 0 && !(more == 1 && slices.Contains(cut, trader)) {
			return fmt.Errorf("%d orders of %s are in the book, and %d were acknowledged", s.Orders[trader], trader, x.acked[trader])
		}
		acked += x.acked[trader]
		untold += more
	}
	if s.Refused > 0 {
		return fmt.Errorf("%d orders came twice or out of turn", s.Refused)
	}
	fmt.Fprintf(x.out, "%d orders acknowledged, none lost, none twice; %d more taken whose member was killed before it said so\n", acked, untold)
	return nil
}
