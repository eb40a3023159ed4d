package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"cohort/internal/churn"
	"cohort/internal/replay"
)

type churnCmd struct {
	Run    churnRunCmd    `cmd:"" help:"Run seeds one after another."`
	Soak   churnSoakCmd   `cmd:"" help:"Run new seeds for a time."`
	Replay churnReplayCmd `cmd:"" help:"Run one seed again and show what happened."`
	Props  churnPropsCmd  `cmd:"" help:"List the properties that are checked."`
}

type churnRunCmd struct {
	common
	Seeds uint64 `default:"1000" help:"How many seeds (default ${default})."`
}

type churnSoakCmd struct {
	common
	Duration time.Duration `default:"10m" help:"How long, as in 90s or 10m (default ${default})."`
}

type churnReplayCmd struct {
	Seed   uint64 `arg:"" help:"The seed."`
	Flaw   string `help:"Break the protocol on purpose: ${flaws}."`
	Shrink int    `default:"0" help:"First look for a smaller scenario that fails the same way, in at most so many runs (default ${default})."`
}

type churnPropsCmd struct{}

func (c *churnRunCmd) Run(out io.Writer) error {
	return sweepChurn(&c.common, out, func(done uint64) bool { return done < c.Seeds })
}

func (c *churnSoakCmd) Run(out io.Writer) error {
	end := time.Now().Add(c.Duration)
	return sweepChurn(&c.common, out, func(uint64) bool { return time.Now().Before(end) })
}

func sweepChurn(c *common, out io.Writer, more func(begun uint64) bool) error {
	f, err := replay.ParseFlaw(c.Flaw)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var runs, delivered, changes, restored, stuck int
	start := time.Now()
	err = c.each(out, more, func(seed uint64) error {
		r := churn.Run(churn.Generate(seed), f, nil)
		mu.Lock()
		defer mu.Unlock()
		runs++
		delivered += r.Delivered
		changes += r.Changes
		restored += r.Restored
		if r.Stuck {
			stuck++
		}
		if r.Violation != nil {
			return r.Violation
		}
		return nil
	})
	fmt.Fprintf(out, "%d runs from seed %d in %v: %d deliveries, %d views installed, %d states transferred, %d runs that too few survived\n",
		runs, c.From, time.Since(start).Round(time.Millisecond), delivered, changes, restored, stuck)
	return err
}

func (c *churnReplayCmd) Run(out io.Writer) error {
	f, err := replay.ParseFlaw(c.Flaw)
	if err != nil {
		return err
	}
	return replay.Churn(c.Seed, replay.Options{Flaw: f, Shrink: c.Shrink}, out)
}

func (*churnPropsCmd) Run(out io.Writer) error {
	fmt.Fprintln(out, strings.Join(churn.Properties, "\n"))
	return nil
}
