package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"cohort/internal/bench/hosts"
	"cohort/internal/bench/media"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/bench/run"
	"cohort/membership"
)

// hostsNetwork is the network between hosts, as results name it.
const hostsNetwork = "hosts"

// defaultCluster is where members and run --join meet.
const defaultCluster = "vsbench"

// hostFlags is the flags of who meets others on other hosts.
type hostFlags struct {
	Interface string   `placeholder:"NAME" help:"Interface to the other hosts, by name or address; member and run --join need it. Default: none."`
	Cluster   string   `placeholder:"NAME" help:"Name that tells the members and run --join who belong together. Default: vsbench."`
	Seeds     []string `placeholder:"HOST:PORT" help:"Where other hosts are if the network has no multicast: their member's --port; a name may stand for several addresses. Default: multicast finds them."`
}

// memberCmd is the flags of member.
type memberCmd struct {
	hostFlags
	Port   int `default:"0" placeholder:"N" help:"Port that others' --seeds name, UDP and TCP, 0 to 65535. Default: any."`
	Expect int `default:"0" placeholder:"N" help:"How many members there are to be, 0 to 64: they find each other once a majority is there. Default: 0, as they come."`
}

// Help is the examples.
func (memberCmd) Help() string {
	return examples(
		"vsbench member --interface eth1                          on each of three hosts, and on one of them",
		"vsbench run --join --interface eth1 --members 3          as often as one likes",
		"vsbench member --interface eth1 --port 7400 --seeds a:7400,b:7400",
		"                                                         where there is no multicast: run has the same --seeds, and --transport fanout",
	)
}

// config returns what the flags say.
func (h *hostFlags) config() hosts.Config {
	c := hosts.Config{Interface: h.Interface, Cluster: h.Cluster, Seeds: h.Seeds}
	if c.Cluster == "" {
		c.Cluster = defaultCluster
	}
	return c
}

var errNoInterface = errors.New("--interface: want that to the other hosts, by name or address, such as eth1")

// prepare checks the flags. The error names the first one that is wrong.
func (c *memberCmd) prepare() error {
	if c.Interface == "" {
		return errNoInterface
	}
	return first(c.checkSeeds(), flag("port", between(c.Port, 0, 65535, "(0: any)")), flag("expect", between(c.Expect, 0, membership.MaxMembers, "members")))
}

// measure is measured until it is stopped.
func (c *memberCmd) measure(ctx context.Context, _, stderr io.Writer) error {
	cfg := c.config()
	cfg.Port, cfg.Expect = c.Port, c.Expect
	return hosts.Serve(ctx, cfg, media.Open, stderr)
}

// checkHosts checks the flags that belong to --join or do not go with it.
func (c *runCmd) checkHosts() error {
	switch {
	case !c.Join && c.Interface != "":
		return errors.New("--interface: only with --join")
	case !c.Join && c.Cluster != "":
		return errors.New("--cluster: only with --join")
	case !c.Join && len(c.Seeds) > 0:
		return errors.New("--seeds: only with --join")
	case !c.Join:
		return nil
	case c.Interface == "":
		return errNoInterface
	case c.Network == netnsNetwork:
		return fmt.Errorf("--network: %s: not with --join, where members are on hosts", c.Network)
	case c.Targets != "" || c.FailOnMiss:
		return errors.New("--targets, --fail-on-miss: not with --join, targets are for one machine")
	}
	c.Network = hostsNetwork
	return c.checkSeeds()
}

// checkSeeds refuses a list of none: who wrote it meant some, and would wait for others for ever.
func (h *hostFlags) checkSeeds() error {
	if h.Seeds == nil {
		return nil
	}
	return each("seeds", h.Seeds, func(string) error { return nil }) // the engine checks them
}

// runJoined runs the plan on members that are on hosts.
func (c *runCmd) runJoined(ctx context.Context, plan run.Plan, p progress) (res *result.Run, err error) {
	there, err := hosts.Join(ctx, c.config(), c.Members)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, there.Close()) }()
	plan.Open = member.Open{Interface: c.Interface, Cluster: "vsbench-" + rand.Text(), RawGroup: randomGroup(), IdleGroup: randomGroup()}
	c.open(&plan.Open)
	if c.MTU != 0 {
		plan.Open.Segment = c.MTU - udpOverhead
	}
	plan.Hosts, plan.Watch = there.Hosts, p.watch()
	return run.New(plan, there.Fleet(), p.row).Run(ctx)
}
