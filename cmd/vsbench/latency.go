package main

import (
	"context"
	"io"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/latency"
	"cohort/internal/bench/result"
)

// latencyCmd is the flags of latency.
type latencyCmd struct {
	Levels   []string      `default:"raw,fbcast,cbcast,abcast,safe-fbcast,safe-cbcast,safe-abcast" placeholder:"LEVEL" help:"Levels to measure: raw (no protocol at all), fbcast, cbcast, abcast, and safe- of each. Default: ${default}."`
	Sizes    []int         `default:"1024" placeholder:"BYTES" help:"Message sizes in bytes, 16 to 16777216. Default: ${default}."`
	Members  int           `default:"3" placeholder:"N" help:"Members, each a process, 2 to 64. Default: ${default}."`
	Senders  int           `default:"1" placeholder:"N" help:"How many members send, 1 to all. Default: ${default}."`
	Duration time.Duration `default:"500ms" placeholder:"TIME" help:"Time of each point, at least 20ms; longer where the load is too low for 10 messages of each sender. Finding saturation takes as long. Default: ${default}."`
	Points   []float64     `default:"1,5,10,25,50,75,90,100,110" placeholder:"PERCENT" help:"Loads to offer, in percent of what the level carries, 0.1 to 200. Default: ${default}."`
	Loads    []float64     `placeholder:"RATE" help:"Loads to offer instead, in messages per second, all senders together, 1 to 100000000. Default: none, --points count."`
	netFlags
}

// Help is the examples.
func (latencyCmd) Help() string {
	return examples(
		"vsbench latency                                         all levels, 1 KiB, up to 110 % of what they carry",
		"vsbench latency --levels abcast --sizes 64,8192         one level at two sizes",
		"vsbench latency --loads 1000,10000,100000 --json -      the same loads for all levels; results on standard output",
		"vsbench latency --network netns --duration 5s           members in network namespaces, longer points (as root)",
	)
}

// prepare checks the flags. The error names the first one that is wrong.
func (c *latencyCmd) prepare() error {
	if len(c.Loads) > 0 {
		c.Points = nil
		if err := rates("loads", c.Loads, 1, 1e8, "messages per second"); err != nil {
			return err
		}
	} else if err := rates("points", c.Points, 0.1, 200, "percent"); err != nil {
		return err
	}
	return first(
		checkLevels(c.Levels), checkSizes(c.Sizes), flag("members", checkMembers(c.Members)),
		flag("senders", between(c.Senders, 1, c.Members, "members")), checkDuration(c.Duration), c.check(c.Members),
	)
}

// measure measures and puts the results where they belong.
func (c *latencyCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	plan := latency.Plan{Levels: c.Levels, Sizes: c.Sizes, Senders: c.Senders, Duration: c.Duration,
		Points: c.Points, Loads: c.Loads, Network: c.Network}
	return (&output{c.JSON, stdout, stderr}).of(result.CommandLatency, plan.Steps(), func(p progress) (measurement, error) {
		started, doc := time.Now(), &result.Curve{}
		err := withRing(ctx, &c.netFlags, c.Members, c.Levels, p, func(ring *course.Ring) (err error) {
			doc.Members = ring.Members()
			doc.Rows, err = latency.Run(ctx, ring, plan, p.row)
			return err
		})
		if len(doc.Rows) == 0 {
			return nil, err
		}
		doc.Head = result.NewHead(result.CommandLatency, started)
		doc.Settings = result.CurveSettings{Where: c.where(), Levels: c.Levels, Sizes: c.Sizes, Members: c.Members, Senders: c.Senders,
			DurationS: c.Duration.Seconds(), Points: c.Points, LoadsPerS: c.Loads}
		return doc, err
	})
}
