package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/bench/run"
	"cohort/tuning"
)

// measure carries out the plan and puts its results where they belong.
func (c *runCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	return output{c.JSON, stdout, stderr}.of("run", c.planned.Steps(), func(p progress) (result.Document, error) {
		started := time.Now()
		res, err := c.runOn(ctx, c.planned, p)
		if err != nil {
			return nil, err
		}
		res.Version, res.Machine = result.Build(), tuning.Look()
		res.Started, res.ElapsedS = started.UTC(), time.Since(started).Seconds()
		return res, nil
	})
}

// runOn makes the network and the members, and removes them whatever happens.
func (c *runCmd) runOn(ctx context.Context, plan run.Plan, p progress) (res *result.Run, err error) {
	n, err := newNetwork(c.Network, c.Members, c.MTU)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	plan.Open = member.Open{Interface: n.iface, Segment: n.segment, Loss: c.Loss, Fanout: c.Transport == result.Fanout, Cluster: "vsbench-" + rand.Text()}
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
