package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"cohort/internal/netlab"
)

// Namespaces are hosts of their own, whose network can be broken.
type Namespaces struct {
	lab  *netlab.Lab
	loss []int          // percent of what arrives
	deaf []map[int]bool // to whom
	dumb []bool         // neither hears multicast nor sends it
	nft  error          // why packets cannot be lost
}

// NewNamespaces makes n hosts.
func NewNamespaces(n int) (*Namespaces, error) {
	lab, err := netlab.New(n, 1500)
	if err != nil {
		return nil, err
	}
	s := &Namespaces{lab: lab, loss: make([]int, n), deaf: make([]map[int]bool, n), dumb: make([]bool, n)}
	for i := range n {
		s.deaf[i] = map[int]bool{}
	}
	s.nft = s.rules(0)
	return s, nil
}

// NoLoss says why packets cannot be lost; nil: they can.
func (s *Namespaces) NoLoss() error { return s.nft }

// Interface is where the members meet.
func (s *Namespaces) Interface() string { return netlab.Interface }

// Do runs f on a host.
func (s *Namespaces) Do(i int, f func() error) error { return s.lab.Do(i, f) }

// Cut takes a host off the network, or puts it on again.
func (s *Namespaces) Cut(i int, off bool) error { return s.lab.Plug(i, !off) }

// Lose makes a host lose some of the datagrams that arrive.
func (s *Namespaces) Lose(i, percent int) error {
	s.loss[i] = percent
	return s.rules(i)
}

// Part keeps two hosts from hearing each other, or lets them again.
func (s *Namespaces) Part(a, b int, apart bool) error {
	s.deaf[a][b], s.deaf[b][a] = apart, apart
	return errors.Join(s.rules(a), s.rules(b))
}

// NoMulticast takes multicast from a host, and nothing else: what comes is lost, and what
// is sent refused.
func (s *Namespaces) NoMulticast(i int) error {
	s.dumb[i] = true
	return s.rules(i)
}

// Close removes the hosts.
func (s *Namespaces) Close() error { return s.lab.Close() }

// rules has the kernel of host i lose what it is to lose.
func (s *Namespaces) rules(i int) error {
	var b strings.Builder
	fmt.Fprintln(&b, "add table ip chaos\ndelete table ip chaos\nadd table ip chaos")
	fmt.Fprintln(&b, "add chain ip chaos input { type filter hook input priority 0; }")
	if s.dumb[i] {
		fmt.Fprintln(&b, "add chain ip chaos output { type filter hook output priority 0; }")
		fmt.Fprintln(&b, "add rule ip chaos input ip daddr 224.0.0.0/4 drop\nadd rule ip chaos output ip daddr 224.0.0.0/4 drop")
	}
	for from, deaf := range s.deaf[i] {
		if deaf {
			fmt.Fprintf(&b, "add rule ip chaos input ip saddr %v drop\n", netlab.Addr(from))
		}
	}
	if s.loss[i] > 0 {
		fmt.Fprintf(&b, "add rule ip chaos input meta l4proto udp numgen random mod 100 < %d drop\n", s.loss[i])
	}
	return s.lab.Do(i, func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(b.String())
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("chaos: nft: %w: %s", err, out.Bytes())
		}
		return nil
	})
}
