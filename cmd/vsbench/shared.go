package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/membership"
)

// netFlags is the flags of commands that measure levels: where, and where to.
type netFlags struct {
	Network string `default:"loopback" enum:"loopback,netns" placeholder:"loopback|netns" help:"Where members meet: the loopback interface, or network namespaces joined by a bridge, which vsbench makes and removes, as root only. Default: ${default}."`
	MTU     int    `name:"mtu" default:"0" placeholder:"BYTES" help:"MTU in bytes, 576 to 65535. Default: 1500 for netns; for loopback the interface's own, otherwise packets are cut to fit."`
	JSON    string `name:"json" placeholder:"FILE" help:"File for the results; - is standard output, and the table then goes to standard error. Default: results/${command}-TIME.json, with the time in UTC."`

	iface string // of the members, once there are some
}

// where tells where members met.
func (n *netFlags) where() result.Where {
	return result.Where{Network: n.Network, Interface: n.iface, MTU: n.MTU}
}

// check checks the flags for up to so many members.
func (n *netFlags) check(members int) error {
	if n.Network == netnsNetwork && n.MTU == 0 {
		n.MTU = netnsMTU
	}
	return checkMTU(n.MTU, members)
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkLevels(levels []string) error { return each("levels", levels, member.CheckLevel) }

func checkSizes(sizes []int) error {
	return each("sizes", sizes, checkSize)
}

func checkSize(n int) error { return between(n, load.MinSize, load.MaxSize, "bytes") }

func checkMembers(n int) error { return between(n, 2, membership.MaxMembers, "processes") }

// most returns the largest number of a list; 0 of an empty one.
func most(list []int) int { return slices.Max(append([]int{0}, list...)) }

func checkDuration(d time.Duration) error {
	if d < minDuration {
		return fmt.Errorf("--duration: %v: want at least %v", d, minDuration)
	}
	return nil
}

// checkLoad checks what is offered. A load that has no end has no place in the results,
// and one near zero takes years for its few messages.
func checkLoad(perSecond float64) error {
	return rates("load", []float64{perSecond}, 1, 1e8, "messages per second")
}

// rates checks a list of numbers within bounds.
func rates(name string, values []float64, least, most float64, unit string) error {
	return each(name, values, func(v float64) error {
		if v >= least && v <= most {
			return nil
		}
		plain := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		return fmt.Errorf("%v: want %s to %s %s", v, plain(least), plain(most), unit)
	})
}

// examples is what -h says of a command: how it is used, and how it ends.
func examples(lines ...string) string {
	return "Examples:\n\n  " + strings.Join(lines, "\n  ") + "\n\n" + exitStatuses
}
