package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/result"
	"cohort/internal/bench/soak"
)

// soakCmd is the flags of soak.
type soakCmd struct {
	Levels   []string      `default:"fbcast,cbcast,abcast,safe-fbcast,safe-cbcast,safe-abcast" placeholder:"LEVEL" help:"Levels that have their turn in each interval: fbcast, cbcast, abcast, safe- of each, and raw. Default: ${default}."`
	Size     int           `default:"1024" placeholder:"BYTES" help:"Message size in bytes, 16 to 16777216. Default: ${default}."`
	Members  int           `default:"3" placeholder:"N" help:"Members, each a process, 2 to 64. Default: ${default}."`
	Senders  int           `default:"3" placeholder:"N" help:"How many members send, 1 to all. Default: ${default}."`
	Duration time.Duration `default:"10m" placeholder:"TIME" help:"How long, as in 90s, 10m or 12h, at least one interval. Default: ${default}."`
	Interval time.Duration `default:"10s" placeholder:"TIME" help:"Over which each figure is taken, at least 20ms for each level. Default: ${default}."`
	Load     float64       `default:"30" placeholder:"PERCENT" help:"Load in percent of what each level carries, 1 to 90. Default: ${default}."`
	netFlags
}

// Help is the examples.
func (soakCmd) Help() string {
	return examples(
		"vsbench soak                                            ten minutes, all levels",
		"vsbench soak --duration 12h --interval 1m               over night",
		"vsbench soak --levels safe-abcast --load 60             one level, closer to what it carries",
	) + " An interrupted soak writes what it has measured."
}

// prepare checks the flags. The error names the first one that is wrong.
func (c *soakCmd) prepare() error {
	least := minDuration * time.Duration(max(len(c.Levels), 1))
	if c.Interval < least {
		return fmt.Errorf("--interval: %v: want at least %v for %d levels", c.Interval, least, len(c.Levels))
	}
	if c.Duration < c.Interval {
		return fmt.Errorf("--duration: %v: want at least the interval of %v", c.Duration, c.Interval)
	}
	return first(
		checkLevels(c.Levels), flag("size", checkSize(c.Size)), flag("members", checkMembers(c.Members)),
		flag("senders", between(c.Senders, 1, c.Members, "members")), rates("load", []float64{c.Load}, 1, 90, "percent"), c.check(c.Members),
	)
}

// measure soaks and puts the results where they belong, also those of a part.
func (c *soakCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	plan := soak.Plan{Levels: c.Levels, Size: c.Size, Senders: c.Senders, Duration: c.Duration, Interval: c.Interval, Percent: c.Load, Network: c.Network}
	return (&output{c.JSON, stdout, stderr}).of(result.CommandSoak, plan.Steps(), func(p progress) (measurement, error) {
		started, doc := time.Now(), &result.Soak{}
		err := withRing(ctx, &c.netFlags, c.Members, c.Levels, p, func(ring *course.Ring) error {
			doc.Members = ring.Members()
			doc.Settings = result.SoakSettings{Where: c.where(), Levels: c.Levels, SizeBytes: c.Size, Members: c.Members, Senders: c.Senders,
				DurationS: c.Duration.Seconds(), IntervalS: c.Interval.Seconds(), Percent: c.Load}
			return soak.Run(ctx, ring, plan, doc, p.row)
		})
		if len(doc.Rows) == 0 {
			return nil, err
		}
		doc.Head, doc.Interrupted = result.NewHead(result.CommandSoak, started), errors.Is(err, context.Canceled)
		return doc, err
	})
}
