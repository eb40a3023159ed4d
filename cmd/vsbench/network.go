package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"

	"cohort/internal/bench/fleet"
	"cohort/internal/netlab"
)

// netnsNetwork is the network of namespaces, as --network names it.
const netnsNetwork = "netns"

// network is where members meet.
type network struct {
	iface   string
	segment int // largest packet, bytes of UDP payload; 0: the interface's
	lab     *netlab.Lab
}

func newNetwork(kind string, members, mtu int) (*network, error) {
	if kind == netnsNetwork {
		if mtu == 0 {
			mtu = netnsMTU
		}
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
