package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"cohort/internal/bench/failover"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/result"
	"cohort/tuning"
)

// Help is the examples.
func (failoverCmd) Help() string {
	return examples(
		"vsbench failover                                           each fault 20 times",
		"vsbench failover --faults kill-leader --kills 100          one fault, more often",
		"vsbench failover --network netns --faults partition        pulled cables (as root)",
	)
}

// measure does the faults that the network allows and puts the results where they belong.
func (c *failoverCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	plan := failover.Plan{
		Name: "member", Members: c.Members, Kills: c.Kills, Rate: c.Rate, Size: c.Size, State: c.State, Timeout: c.Timeout, Network: c.Network,
	}
	for _, fault := range c.Faults {
		if why := c.impossible(fault); why != "" {
			fmt.Fprintf(stderr, "%s is skipped: %s\n", fault, why)
			continue
		}
		plan.Faults = append(plan.Faults, fault)
	}
	return (&output{c.JSON, stdout, stderr}).of("failover", plan.Steps(), func(p progress) (measurement, error) {
		started := time.Now()
		res, err := c.runOn(ctx, plan, p)
		if res == nil {
			return nil, err
		}
		res.Version, res.Machine = result.Build(), tuning.Look()
		res.Started, res.ElapsedS = started.UTC(), time.Since(started).Seconds()
		return res, err
	})
}

// runOn makes the network, and removes it whatever happens.
func (c *failoverCmd) runOn(ctx context.Context, plan failover.Plan, p progress) (res *result.Failover, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(c.Network, c.Members+1, 0) // one more for who joins
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	plan.Net = failover.Net{Interface: n.iface, Start: func(host int, name string) (*fleet.Process, error) {
		return fleet.Start(n.host(host), name, exec.Command(self, "survivor"), p)
	}}
	if n.lab != nil {
		plan.Net.Plug = n.lab.Plug
	}
	return failover.Run(ctx, plan, p.row)
}
