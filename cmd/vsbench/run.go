package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"cohort/internal/bench/fleet"
	"cohort/internal/bench/hdrlog"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/bench/run"
	"cohort/tuning"
)

// measure carries out the plan and puts its results where they belong.
func (c *runCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	if c.HDR != "" {
		if err := result.CanWrite(filepath.Join(c.HDR, "run.hlog")); err != nil {
			return err
		}
	}
	var res *result.Run
	err := output{c.JSON, stdout, stderr}.of("run", c.planned.Steps(), func(p progress) (result.Document, error) {
		started := time.Now()
		var err error
		if res, err = c.runOn(ctx, c.planned, p); err != nil {
			return nil, err
		}
		res.Version, res.Machine = result.Build(), tuning.Look()
		res.Started, res.ElapsedS = started.UTC(), time.Since(started).Seconds()
		res.Targets = c.targets.Judge(res)
		return res, nil
	})
	if err == nil && c.HDR != "" {
		err = hdrlog.Write(c.HDR, res)
	}
	if err == nil && c.FailOnMiss && res.Targets.Missed > 0 {
		err = fmt.Errorf("%d of %d targets were missed", res.Targets.Missed, len(res.Targets.Results))
	}
	return err
}

// runOn makes the network and the members, and removes them whatever happens.
func (c *runCmd) runOn(ctx context.Context, plan run.Plan, p progress) (res *result.Run, err error) {
	n, err := newNetwork(c.Network, c.Members, c.MTU)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	plan.Open = member.Open{Interface: n.iface, Segment: n.segment, Loss: c.Loss, Cluster: "vsbench-" + rand.Text()}
	plan.Open.RawGroup, plan.Open.IdleGroup = randomGroup(), randomGroup()
	f, err := startMembers(n, c.Members, p)
	defer func() { err = errors.Join(err, f.Close()) }()
	if err != nil {
		return nil, err
	}
	return run.New(plan, f, p.row).Run(ctx)
}

// startMembers starts this program once per member. The fleet has those that did start.
func startMembers(n *network, members int, stderr io.Writer) (*fleet.Fleet, error) {
	self, err := os.Executable()
	var started []fleet.Caller
	for i := 0; i < members && err == nil; i++ {
		var p *fleet.Process
		p, err = fleet.Start(n.host(i), fmt.Sprintf("process %d", i), exec.Command(self, "member"), stderr)
		if err == nil {
			started = append(started, p)
		}
	}
	return fleet.New(started), err
}
