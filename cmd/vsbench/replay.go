package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"cohort/internal/bench/result"
	"cohort/internal/replay"
)

// replayCmd is the flags of replay.
type replayCmd struct {
	What   string `arg:"" name:"seed" help:"Seed to run again, 0 to 18446744073709551615."`
	Kind   string `default:"fixed" enum:"fixed,churn" placeholder:"fixed|churn" help:"Simulator of the seed: fixed (members stay; packets are lost, repeated, delayed) or churn (views change: crashes, cuts, joins, leaves). Default: ${default}."`
	Flaw   string `placeholder:"NAME" help:"Break the protocol on purpose, to see it caught: ${flaws}. Default: none."`
	Shrink int    `default:"0" placeholder:"RUNS" help:"First look for a smaller scenario that fails the same way, in at most so many runs, 0 to 1000000. Default: ${default}."`
	Tail   int    `default:"0" placeholder:"LINES" help:"Show only the last lines of the trace, of fixed; 0 shows all. Default: ${default}."`
	JSON   string `name:"json" placeholder:"FILE" help:"File for the outcome and the trace as data; - is standard output, in place of the trace. Default: none."`

	seed    uint64
	options replay.Options
}

// Help is the examples.
func (replayCmd) Help() string {
	return examples(
		"vsbench replay 42                                    seed 42 line by line",
		"vsbench replay 5 --kind churn                        one whose views change",
		"vsbench replay 2 --flaw SafeTooEarly --shrink 200    a deliberate flaw, in the smallest scenario that shows it",
	)
}

// prepare checks the argument and the flags. The error names the first one that is wrong.
func (c *replayCmd) prepare() (err error) {
	if c.seed, err = strconv.ParseUint(c.What, 10, 64); err != nil {
		return fmt.Errorf("replay %q: want a seed, 0 to 18446744073709551615", c.What)
	}
	if c.options.Flaw, err = replay.ParseFlaw(c.Flaw); err != nil {
		return err
	}
	if c.Tail > 0 && c.Kind != "fixed" {
		return fmt.Errorf("--tail: %d: only --kind fixed has it", c.Tail)
	}
	c.options.Shrink, c.options.Tail = c.Shrink, c.Tail
	return first(flag("shrink", between(c.Shrink, 0, 1_000_000, "runs")), flag("tail", between(c.Tail, 0, 1<<30, "lines")))
}

// measure runs the seed, shows the trace and, if asked to, writes it.
func (c *replayCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	started, trace, ran := time.Now(), &bytes.Buffer{}, make(chan error, 1)
	go func() { ran <- c.run(trace) }()
	var violated error
	select {
	case violated = <-ran:
	case <-ctx.Done():
		return ctx.Err()
	}
	doc := &result.Replay{
		Settings: result.ReplaySettings{Flaw: c.Flaw, Shrink: c.Shrink, Tail: c.Tail},
		Rows:     []result.Replayed{{Kind: c.Kind, Seed: c.seed, Violated: violated != nil, Trace: trace.String()}},
	}
	if c.JSON == "" {
		return errors.Join(violated, doc.Table(stdout))
	}
	doc.Head = result.NewHead("replay", started)
	return errors.Join(violated, output{c.JSON, stdout, stderr}.report(doc))
}

// run runs the seed.
func (c *replayCmd) run(out io.Writer) error {
	if c.Kind == "churn" {
		return replay.Churn(c.seed, c.options, out)
	}
	return replay.Fixed(c.seed, c.options, out)
}
