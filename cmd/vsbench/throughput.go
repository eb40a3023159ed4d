package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/result"
	"cohort/internal/bench/throughput"
)

// throughputCmd is the flags of throughput.
type throughputCmd struct {
	Levels   []string      `default:"raw,fbcast,cbcast,abcast,safe-fbcast,safe-cbcast,safe-abcast" placeholder:"LEVEL" help:"Levels to measure: raw (no protocol at all), fbcast, cbcast, abcast, and safe- of each. Default: ${default}."`
	Sizes    []int         `default:"16,64,256,1024,8192,65536,1048576" placeholder:"BYTES" help:"Message sizes in bytes, 16 to 16777216. Default: ${default}."`
	Members  []int         `default:"3" placeholder:"N" help:"Members, each a process, 2 to 64; several numbers for several groups. Default: ${default}."`
	Senders  []string      `default:"1,all" placeholder:"N|all" help:"How many members send: numbers, or all; groups that are smaller than a number leave it out. Default: ${default}."`
	Duration time.Duration `default:"400ms" placeholder:"TIME" help:"Time measured for each row, at least 20ms. Default: ${default}."`
	netFlags
}

// Help is the examples.
func (throughputCmd) Help() string {
	return examples(
		"vsbench throughput                                        all levels and sizes, 3 members, one and all sending",
		"vsbench throughput --levels raw,fbcast --sizes 64,65536   two levels at two sizes",
		"vsbench throughput --members 2,3,4,6 --senders 1,2,all    more members and senders",
	)
}

// prepare checks the flags. The error names the first one that is wrong.
func (c *throughputCmd) prepare() error {
	return first(
		checkLevels(c.Levels), checkSizes(c.Sizes), each("members", c.Members, checkMembers),
		each("senders", c.Senders, c.checkSenders), checkDuration(c.Duration), c.check(most(c.Members)),
	)
}

// checkSenders wants a number that the largest group has, or all.
func (c *throughputCmd) checkSenders(s string) error {
	if s == "all" {
		return nil
	}
	most := most(c.Members)
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > most {
		return fmt.Errorf("%q: want all, or 1 to %d members", s, most)
	}
	return nil
}

// plan returns what to measure with so many members.
func (c *throughputCmd) plan(members int) throughput.Plan {
	p := throughput.Plan{Levels: c.Levels, Sizes: c.Sizes, Duration: c.Duration, Network: c.Network}
	for _, s := range c.Senders {
		n, err := strconv.Atoi(s)
		if err != nil {
			n = members
		}
		if n <= members && !slices.Contains(p.Senders, n) {
			p.Senders = append(p.Senders, n)
		}
	}
	return p
}

// measure measures with each number of members and puts the results where they belong.
func (c *throughputCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	steps := &course.Steps{}
	for _, n := range c.Members {
		p := c.plan(n)
		steps.All += p.Steps()
	}
	return (&output{c.JSON, stdout, stderr}).of(result.CommandThroughput, steps.All, func(p progress) (measurement, error) {
		started, doc := time.Now(), &result.Throughput{}
		steps.Observe = p.row
		err := c.sweep(ctx, doc, steps, p)
		if len(doc.Rows) == 0 {
			return nil, err
		}
		doc.Ratios()
		doc.Head = result.NewHead(result.CommandThroughput, started)
		doc.Settings = result.ThroughputSettings{Where: c.where(), Levels: c.Levels, Sizes: c.Sizes, Members: c.Members, Senders: c.Senders,
			DurationS: c.Duration.Seconds(), WarmUpS: course.WarmUp(c.Duration).Seconds()}
		return doc, err
	})
}

// sweep measures with each number of members. Beside an error the document has the rows before it.
func (c *throughputCmd) sweep(ctx context.Context, doc *result.Throughput, steps *course.Steps, p progress) error {
	for _, n := range c.Members {
		err := withRing(ctx, &c.netFlags, n, c.Levels, p, func(ring *course.Ring) error {
			if len(ring.Members()) > len(doc.Members) {
				doc.Members = ring.Members()
			}
			rows, err := throughput.Run(ctx, ring, c.plan(n), steps)
			doc.Rows = append(doc.Rows, rows...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%d members: %w", n, err)
		}
	}
	return nil
}
