package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/bench/run"
	"cohort/internal/freeport"
	"cohort/tuning"
)

// peersCmd is the flags of peers.
type peersCmd struct {
	Levels   []string      `default:"fbcast,nats,abcast,safe-abcast,raft,jetstream" placeholder:"LEVEL" help:"What to measure, next to each other in time: raft (etcd's), nats (core, through a broker), jetstream (a stream in three memories), and levels of run. Default: ${default}."`
	Sizes    []int         `default:"64,1024" placeholder:"BYTES" help:"Message sizes in bytes, 16 to 1048576. Default: ${default}."`
	Senders  []string      `default:"1,all" placeholder:"1|all" help:"How many of the three members send: 1, all, or both. Default: ${default}."`
	Runs     *int          `placeholder:"N" help:"How often each row is measured, 1 to 100: all rows once, then all again, and so on. Figures are medians; less than 6 do not make a 95 % interval. Default: 6, or as many as --duration has 20ms for."`
	Duration time.Duration `default:"2s" placeholder:"TIME" help:"Time measured for each row, all runs together, at least 20ms for each: half of it at full speed for throughput, half at --load for latency. Default: ${default}."`
	Load     float64       `default:"10000" placeholder:"RATE" help:"Messages per second offered while latency is measured, all senders together, on a fixed schedule (open loop), 1 to 100000000. A row that cannot carry twice as much gets half of its own throughput; the table states what was offered. Default: ${default}."`
	Program  string        `placeholder:"FILE" help:"The program in peers/, built. Default: it is built, from the checkout that the present folder is in."`
	JSON     string        `name:"json" placeholder:"FILE" help:"File for the results; - is standard output, and the table then goes to standard error. Default: results/peers-TIME.json, with the time in UTC."`

	planned run.Plan
}

const (
	peerMembers  = 3
	maxPeerSize  = 1 << 20
	addressesOf1 = 2 // TCP addresses that a member of a peer needs
)

// peers are the systems that the program in peers/ has. Beside is the engine's level
// whose order they keep, and are held to.
var peers = []result.Peer{
	{Level: "raft", Beside: "safe-abcast", Guarantee: "one total order, each message held by a majority before any member delivers it; survives the loss of a minority"},
	{Level: "nats", Beside: "fbcast", Guarantee: "each publisher's order, at most once: what a slow or absent subscriber misses is gone, and so is all that the broker held if it fails"},
	{Level: "jetstream", Beside: "safe-abcast", Guarantee: "one total order, each message in the memories of a majority of servers before it is delivered; can be read again later"},
}

func peerOf(level string) *result.Peer {
	for i := range peers {
		if peers[i].Level == level {
			return &peers[i]
		}
	}
	return nil
}

// prepare checks the flags. The error names the first one that is wrong.
func (c *peersCmd) prepare() error {
	for _, err := range []error{
		each("levels", c.Levels, checkPeerLevel),
		each("sizes", c.Sizes, func(n int) error { return between(n, load.MinSize, maxPeerSize, "bytes") }),
		each("senders", c.Senders, checkSenders),
		checkRuns(c.Runs),
	} {
		if err != nil {
			return err
		}
	}
	runs, err := runsIn(c.Runs, c.Duration)
	if err = first(err, checkLoad(c.Load), c.findProgram()); err != nil {
		return err
	}
	c.planned = run.Plan{Levels: c.Levels, Sizes: c.Sizes, Runs: runs, Duration: c.Duration, Load: c.Load, Network: "loopback", Peers: course.Promises{}}
	for _, s := range c.Senders {
		n := 1
		if s == "all" {
			n = peerMembers
		}
		c.planned.Senders = append(c.planned.Senders, n)
	}
	for _, l := range c.Levels {
		if p := peerOf(l); p != nil {
			c.planned.Peers[l] = p.Beside
		}
	}
	return nil
}

func checkPeerLevel(s string) error {
	if peerOf(s) == nil && member.CheckLevel(s) != nil {
		return fmt.Errorf("%q: want raft, nats, jetstream, or a level of run", s)
	}
	return nil
}

// measure carries out the plan and puts its results where they belong.
func (c *peersCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	return (&output{c.JSON, stdout, stderr}).of(result.CommandPeers, c.planned.Steps(), func(p progress) (measurement, error) {
		program, clean, err := c.program(ctx, p)
		if err != nil {
			return nil, err
		}
		defer clean()
		started := time.Now()
		doc, err := c.run(ctx, program, p)
		if doc == nil {
			return nil, err
		}
		doc.Version, doc.Machine = result.Build(), tuning.Look()
		doc.Started, doc.ElapsedS = started.UTC(), time.Since(started).Seconds()
		return doc, err
	})
}

// run starts a process for each member of each system, and ends them whatever happens.
func (c *peersCmd) run(ctx context.Context, program string, p progress) (doc *result.Peers, err error) {
	n, err := newNetwork(c.planned.Network, peerMembers, 0)
	if err != nil {
		return nil, err
	}
	systems, err := c.systems(program)
	if err != nil {
		return nil, err
	}
	joints, err := systems.start(p)
	f := fleet.New(joints)
	defer func() { err = errors.Join(err, f.Close()) }()
	if err != nil {
		return nil, err
	}
	plan := c.planned
	plan.Watch = p.watch()
	plan.Open = member.Open{Interface: n.iface, Cluster: "vsbench-" + rand.Text(), RawGroup: randomGroup(), IdleGroup: randomGroup()}
	res, err := run.New(plan, f, p.row).Run(ctx)
	if res == nil {
		return nil, err
	}
	doc = &result.Peers{Command: result.CommandPeers, Run: res}
	opened := joints[0].(*fleet.Joint).Opened()
	for i, s := range systems {
		if peer := peerOf(s.levels[0]); peer != nil {
			about := *peer
			about.Versions = opened[i].Versions
			doc.Peers = append(doc.Peers, about)
		}
	}
	return doc, err
}

// underTest is the systems of a run; the engine, if it is there, is first.
type underTest []system

type system struct {
	levels    []string
	command   []string
	addresses []string
}

// systems are those that have the levels.
func (c *peersCmd) systems(program string) (all underTest, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	engine := system{command: []string{self, "child"}}
	for _, l := range c.Levels {
		if peerOf(l) == nil {
			engine.levels = append(engine.levels, l)
			continue
		}
		s := system{levels: []string{l}, command: []string{program}}
		if s.addresses, err = freeport.Addresses(addressesOf1 * peerMembers); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(engine.levels) > 0 {
		all = slices.Insert(all, 0, engine)
	}
	return all, nil
}

// start starts the processes. What is returned has those that did start.
func (u underTest) start(stderr io.Writer) (joints []fleet.Caller, err error) {
	for i := range peerMembers {
		var parts []fleet.System
		for _, s := range u {
			name := fmt.Sprintf("%s process %d", s.levels[0], i)
			p, err := fleet.Start(fleet.Here, name, exec.Command(s.command[0], s.command[1:]...), stderr)
			if err != nil {
				if len(parts) > 0 {
					joints = append(joints, fleet.NewJoint(parts))
				}
				return joints, err
			}
			parts = append(parts, fleet.System{Caller: p, Levels: s.levels, Addresses: s.addresses})
		}
		joints = append(joints, fleet.NewJoint(parts))
	}
	return joints, nil
}
