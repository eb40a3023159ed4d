package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"cohort/internal/bench/fleet"
	"cohort/internal/bench/hdrlog"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/bench/run"
	"cohort/tuning"
)

// Help is the examples.
func (runCmd) Help() string {
	return examples(
		"vsbench                                        all levels, in a minute",
		"vsbench --levels raw,abcast --sizes 64         two levels at one size",
		"vsbench run --network netns --duration 4s      members in network namespaces, longer rows (as root)",
		"vsbench run --json - > a.json                  the results on standard output",
		"vsbench run --join --interface eth1            members on other hosts, see vsbench member -h",
	)
}

// measure carries out the plan and puts its results where they belong.
func (c *runCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	if c.HDR != "" {
		if err := result.CanWrite(filepath.Join(c.HDR, "run.hlog")); err != nil {
			return wrongFlag{flag("hdr", fmt.Errorf("%w: want a folder", err))}
		}
	}
	var res *result.Run
	err := (&output{c.JSON, stdout, stderr}).of(result.CommandRun, c.planned.Steps(), func(p progress) (measurement, error) {
		started := time.Now()
		var err error
		if res, err = c.runOn(ctx, c.planned, p); res == nil {
			return nil, err
		}
		res.Version, res.Machine = result.Build(), tuning.Look()
		res.Started, res.ElapsedS = started.UTC(), time.Since(started).Seconds()
		if !c.Join { // they are for members on one machine, and its latency one way
			res.Targets = c.targets.Judge(res)
		}
		return res, err
	})
	if res != nil && c.HDR != "" {
		err = errors.Join(err, hdrlog.Write(c.HDR, res))
	}
	if err == nil && c.FailOnMiss && res.Targets.Missed > 0 {
		err = fmt.Errorf("%d of %d targets were missed", res.Targets.Missed, len(res.Targets.Results))
	}
	return err
}

// open says how media are to be opened, as far as flags say so.
func (c *runCmd) open(o *member.Open) {
	o.Loss, o.Fanout, o.RecvBuffer = c.Loss, c.Transport == result.Fanout, c.RecvBuf
}

// runOn runs the plan on a network and members of its own.
func (c *runCmd) runOn(ctx context.Context, plan run.Plan, p progress) (res *result.Run, err error) {
	if c.Join {
		return c.runJoined(ctx, plan, p)
	}
	err = withFleet(c.Network, c.MTU, c.Members, p, func(f *fleet.Fleet, o member.Open) (err error) {
		plan.Open = o
		c.open(&plan.Open)
		plan.Watch = p.watch()
		res, err = run.New(plan, f, p.row).Run(ctx)
		return err
	})
	return res, err
}
