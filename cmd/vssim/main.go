// Vssim runs the protocol in the simulator: many seeds, for a time, or one of
// them again with a readable trace.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cohort/internal/replay"
	"cohort/internal/sim"

	"github.com/alecthomas/kong"
)

type commands struct {
	Run    runCmd    `cmd:"" help:"Run seeds one after another."`
	Soak   soakCmd   `cmd:"" help:"Run new seeds for a time."`
	Replay replayCmd `cmd:"" help:"Run one seed again and show what happened."`
	Props  propsCmd  `cmd:"" help:"List the properties that are checked."`
	Churn  churnCmd  `cmd:"" help:"The same for views that change: crashes, cuts, stalls, joins and leaves."`
}

// common are the flags of the commands that run many seeds.
type common struct {
	From     uint64 `default:"1" help:"First seed (default ${default})."`
	Flaw     string `help:"Break the protocol on purpose: ${flaws}."`
	Parallel int    `default:"2" help:"Runs at a time (default ${default})."`
	Keep     bool   `help:"Go on after a violation, and list all seeds that fail."`
}

type runCmd struct {
	common
	Seeds uint64 `default:"1000" help:"How many seeds (default ${default})."`
}

type soakCmd struct {
	common
	Duration time.Duration `default:"10m" help:"How long, as in 90s or 10m (default ${default})."`
}

type replayCmd struct {
	Seed   uint64 `arg:"" help:"The seed."`
	Flaw   string `help:"Break the protocol on purpose: ${flaws}."`
	Shrink int    `default:"0" help:"First look for a smaller scenario that fails the same way, in at most so many runs (default ${default})."`
	Idle   bool   `help:"Go on with the trace when all has been delivered."`
	Tail   int    `default:"0" help:"Show only so many last lines of the trace; 0: all (default ${default})."`
}

type propsCmd struct{}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its surroundings as arguments. It returns the exit status: 1
// if a property was violated, 2 if the command line is wrong.
func run(args []string, out, errs io.Writer) int {
	var c commands
	status := -1
	parser := kong.Must(&c, kong.Name("vssim"), kong.Description("Runs the protocol in a deterministic simulator."),
		kong.Vars{"flaws": strings.Join(replay.Flaws(), ", ")}, kong.Writers(out, errs),
		kong.Exit(func(code int) { status = code }), kong.BindTo(out, (*io.Writer)(nil)))
	ctx, err := parser.Parse(args)
	if status >= 0 { // help was asked for
		return status
	}
	if err == nil {
		err = ctx.Run()
	}
	switch {
	case errors.Is(err, replay.ErrViolation):
		return 1
	case err != nil:
		fmt.Fprintf(errs, "vssim: %v\n", err)
		return 2
	}
	return 0
}

func (c *runCmd) Run(out io.Writer) error {
	return c.sweep(out, func(done uint64) bool { return done < c.Seeds })
}

func (c *soakCmd) Run(out io.Writer) error {
	end := time.Now().Add(c.Duration)
	return c.sweep(out, func(uint64) bool { return time.Now().Before(end) })
}

// totals adds up what runs came to.
type totals struct {
	sync.Mutex
	runs, messages, deliveries, packets, failures int
	virtual                                       int64
	memory                                        int
}

func (t *totals) add(r sim.Result) {
	t.runs++
	t.messages += r.Messages
	t.deliveries += r.Delivered
	t.packets += r.Packets
	t.virtual += r.Time
	t.memory = max(t.memory, r.Memory)
	if r.Violation != nil {
		t.failures++
	}
}

// sweep runs seeds while more says so, given how many have begun.
func (c *common) sweep(out io.Writer, more func(begun uint64) bool) error {
	f, err := replay.ParseFixedFlaw(c.Flaw)
	if err != nil {
		return err
	}
	var t totals
	start := time.Now()
	err = c.each(out, more, func(seed uint64) error {
		r := sim.Run(sim.Generate(seed), f, nil)
		t.Lock()
		defer t.Unlock()
		if t.add(r); r.Violation != nil {
			return r.Violation
		}
		return nil
	})
	fmt.Fprintf(out, "%d runs from seed %d in %v: %d messages, %d deliveries, %d packets, %v of virtual time, at most %d B of slabs, %d violations\n",
		t.runs, c.From, time.Since(start).Round(time.Millisecond), t.messages, t.deliveries, t.packets,
		time.Duration(t.virtual).Round(time.Millisecond), t.memory, t.failures)
	return err
}

// each calls run with seed after seed, several at a time, while more says so, and
// prints what it returns. It returns replay.ErrViolation if that was ever an error.
func (c *common) each(out io.Writer, more func(begun uint64) bool, run func(seed uint64) error) error {
	if c.Parallel < 1 {
		return fmt.Errorf("--parallel %d: want at least 1", c.Parallel)
	}
	var mu sync.Mutex
	var failed error
	var begun atomic.Uint64
	var stop atomic.Bool
	var wait sync.WaitGroup
	for range c.Parallel {
		wait.Go(func() {
			for !stop.Load() {
				k := begun.Add(1) - 1
				if !more(k) {
					return
				}
				if err := run(c.From + k); err != nil {
					mu.Lock()
					fmt.Fprintf(out, "seed %d: %v\n", c.From+k, err)
					failed = replay.ErrViolation
					mu.Unlock()
					stop.Store(!c.Keep)
				}
			}
		})
	}
	wait.Wait()
	return failed
}

func (c *replayCmd) Run(out io.Writer) error {
	f, err := replay.ParseFixedFlaw(c.Flaw)
	if err != nil {
		return err
	}
	return replay.Fixed(c.Seed, replay.Options{Flaw: f, Shrink: c.Shrink, Idle: c.Idle, Tail: c.Tail}, out)
}

func (*propsCmd) Run(out io.Writer) error {
	for _, p := range sim.Properties {
		fmt.Fprintf(out, "%s: %s.\n    %s.\n", p.Name, p.Means, p.Reference)
	}
	return nil
}
