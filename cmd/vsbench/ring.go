package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"cohort/internal/bench/course"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"
)

// withFleet makes the network and the members, has f measure with them, and removes
// them whatever happens. f gets what to open but for the levels.
func withFleet(kind string, mtu, members int, stderr io.Writer, f func(*fleet.Fleet, member.Open) error) (err error) {
	n, err := newNetwork(kind, members, mtu)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	open := member.Open{Interface: n.iface, Segment: n.segment, Cluster: "vsbench-" + rand.Text()}
	open.RawGroup, open.IdleGroup = randomGroup(), randomGroup()
	fl, err := startMembers(n, members, stderr)
	defer func() { err = errors.Join(err, fl.Close()) }()
	if err != nil {
		return err
	}
	return f(fl, open)
}

// withRing is withFleet for members that have opened these levels.
func withRing(ctx context.Context, where *netFlags, members int, levels []string, p progress, f func(*course.Ring) error) error {
	return withFleet(where.Network, where.MTU, members, p, func(fl *fleet.Fleet, o member.Open) error {
		where.iface, o.Levels = o.Interface, levels
		ring, err := course.Open(ctx, fl, o)
		if err != nil {
			return err
		}
		ring.Watch = p.watch()
		return f(ring)
	})
}

// startMembers starts this program once per member. The fleet has those that did start.
func startMembers(n *network, members int, stderr io.Writer) (*fleet.Fleet, error) {
	self, err := os.Executable()
	var started []fleet.Caller
	for i := 0; i < members && err == nil; i++ {
		var p *fleet.Process
		p, err = fleet.Start(n.host(i), fmt.Sprintf("process %d", i), exec.Command(self, "child"), stderr)
		if err == nil {
			started = append(started, p)
		}
	}
	return fleet.New(started), err
}
