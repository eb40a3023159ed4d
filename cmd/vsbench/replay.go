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
	What   []string      `arg:"" name:"seed-or-file" help:"Seed to run again, 0 to 18446744073709551615; or the files of flight recorders, of one or several nodes (see engine.Config.Recorder)."`
	Last   time.Duration `default:"0s" placeholder:"TIME" help:"Show only so much of the end, of flight recorders; 0s shows all. Default: ${default}."`
	Kind   string        `default:"fixed" enum:"fixed,churn" placeholder:"fixed|churn" help:"Simulator of the seed: fixed (members stay; packets are lost, repeated, delayed) or churn (views change: crashes, cuts, joins, leaves). Default: ${default}."`
	Flaw   string        `placeholder:"NAME" help:"Break the protocol on purpose, to see it caught: ${flaws}. Default: none."`
	Shrink int           `default:"0" placeholder:"RUNS" help:"First look for a smaller scenario that fails the same way, in at most so many runs, 0 to 1000000. Default: ${default}."`
	Tail   int           `default:"0" placeholder:"LINES" help:"Show only the last lines of the trace, of fixed; 0 shows all. Default: ${default}."`
	JSON   string        `name:"json" placeholder:"FILE" help:"File for the outcome and the trace as data; - is standard output, in place of the trace. Default: none."`

	seed     uint64
	options  replay.Options
	timeline *timeline // of files; nil: there is a seed
}

// Help is the examples.
func (replayCmd) Help() string {
	return examples(
		"vsbench replay 42                                    seed 42 line by line",
		"vsbench replay 5 --kind churn                        one whose views change",
		"vsbench replay 2 --flaw SafeTooEarly --shrink 200    a deliberate flaw, in the smallest scenario that shows it",
		"vsbench replay cohort-*.jsonl --last 2s              what several nodes recorded, as one time line",
	)
}

// prepare checks the argument and the flags. The error names the first one that is wrong.
func (c *replayCmd) prepare() (err error) {
	if c.seed, err = strconv.ParseUint(c.What[0], 10, 64); err != nil || len(c.What) > 1 {
		return c.prepareFiles()
	}
	if c.Last != 0 {
		return fmt.Errorf("--last: %v: only files of flight recorders have it", c.Last)
	}
	parse := replay.ParseFlaw
	if c.Kind == "fixed" {
		parse = replay.ParseFixedFlaw
	}
	if c.options.Flaw, err = parse(c.Flaw); err != nil {
		return err
	}
	if c.Tail > 0 && c.Kind != "fixed" {
		return fmt.Errorf("--tail: %d: only --kind fixed has it", c.Tail)
	}
	c.options.Shrink, c.options.Tail = c.Shrink, c.Tail
	return first(flag("shrink", between(c.Shrink, 0, 1_000_000, "runs")), flag("tail", between(c.Tail, 0, 1<<30, "lines")))
}

// prepareFiles reads the files. The error names the first one that is wrong, or a flag
// that only a seed has.
func (c *replayCmd) prepareFiles() (err error) {
	if c.Kind != "fixed" || c.Flaw != "" || c.Shrink != 0 || c.Tail != 0 || c.JSON != "" {
		return errors.New("--kind, --flaw, --shrink, --tail and --json: only a seed has them; the files are lines of JSON")
	}
	if c.timeline, err = readTimeline(c.What, c.Last); err != nil {
		return fmt.Errorf("replay %q: want a seed, 0 to 18446744073709551615, or files of flight recorders: %w", c.What[0], err)
	}
	return nil
}

// measure runs the seed, shows the trace and, if asked to, writes it.
func (c *replayCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	if c.timeline != nil {
		return c.timeline.show(stdout)
	}
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
	return errors.Join(violated, (&output{c.JSON, stdout, stderr}).report(doc))
}

// run runs the seed.
func (c *replayCmd) run(out io.Writer) error {
	if c.Kind == "churn" {
		return replay.Churn(c.seed, c.options, out)
	}
	return replay.Fixed(c.seed, c.options, out)
}
