package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/bench/run"
	"cohort/internal/netlab"
	"cohort/tuning"
)

// measure carries out the plan and puts its results where they belong.
func (c *runCmd) measure(ctx context.Context, plan run.Plan, stdout, stderr io.Writer) error {
	started := time.Now()
	if c.JSON == "" {
		c.JSON = result.DefaultPath(started)
	}
	if c.JSON != standardOutput {
		if err := result.CanWrite(c.JSON); err != nil {
			return err
		}
	}
	p := newProgress(stderr, plan.Steps())
	res, err := c.runOn(ctx, plan, p)
	p.stop()
	if err != nil {
		return err
	}
	res.Version, res.Machine = result.Build(), tuning.Look()
	res.Started, res.ElapsedS = started.UTC(), time.Since(started).Seconds()
	return c.report(res, stdout, stderr)
}

// standardOutput is the file name that means it.
const standardOutput = "-"

// runOn makes the network and the members, and removes them whatever happens.
func (c *runCmd) runOn(ctx context.Context, plan run.Plan, p progress) (res *result.Run, err error) {
	n, err := newNetwork(c.Network, c.Members, c.MTU)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	plan.Open = member.Open{Interface: n.iface, Segment: n.segment, Cluster: "vsbench-" + rand.Text()}
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

// report writes the results, prints the table and says what the machine lacks.
func (c *runCmd) report(res *result.Run, stdout, stderr io.Writer) error {
	table := stdout
	if c.JSON == standardOutput {
		table = stderr
		b, err := res.Encode()
		if err != nil {
			return err
		}
		if _, err := stdout.Write(b); err != nil {
			return err
		}
	} else if err := res.Write(c.JSON); err != nil {
		return err
	}
	if err := res.Table(table); err != nil {
		return err
	}
	for _, n := range res.Notes() {
		fmt.Fprintf(stderr, "note: %s\n", n)
	}
	if c.JSON != standardOutput {
		fmt.Fprintf(stderr, "results: %s\n", c.JSON)
	}
	return nil
}

// network is where members meet.
type network struct {
	iface   string
	segment int // largest packet, bytes of UDP payload; 0: the interface's
	lab     *netlab.Lab
}

func newNetwork(kind string, members, mtu int) (*network, error) {
	if kind == "netns" {
		lab, err := netlab.New(members, mtu)
		if err != nil {
			return nil, fmt.Errorf("--network netns: %w", err)
		}
		return &network{iface: netlab.Interface, lab: lab}, nil
	}
	n := &network{}
	if mtu != 0 {
		n.segment = mtu - udpOverhead
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			n.iface = i.Name
			return n, nil
		}
	}
	return nil, errors.New("--network loopback: no loopback interface is up")
}

func (n *network) host(i int) fleet.Host {
	if n.lab == nil {
		return fleet.Here
	}
	return func(f func() error) error { return n.lab.Do(i, f) }
}

func (n *network) close() error {
	if n.lab == nil {
		return nil
	}
	return n.lab.Close()
}

// randomGroup returns a multicast address and port of this machine's own scope
// that another run at the same time will hardly have.
func randomGroup() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	port := 10000 + (int(b[2])<<8|int(b[3]))%10000
	return fmt.Sprintf("239.254.%d.%d:%d", b[0], b[1], port)
}
