package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cohort/internal/bench/failover"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/internal/bench/run"
	"cohort/internal/bench/stat"
	"cohort/internal/bench/targets"
	"cohort/membership"
	"cohort/wire"
)

// runCmd is the flags of run.
type runCmd struct {
	Levels    []string      `default:"raw,fbcast,cbcast,abcast,safe-fbcast,safe-cbcast,safe-abcast" placeholder:"LEVEL" help:"Levels to measure: raw (no protocol at all), fbcast (FIFO), cbcast (causal), abcast (total), and safe- of each. Default: ${default}."`
	Sizes     []int         `default:"64,1024,8192" placeholder:"BYTES" help:"Message sizes in bytes, 16 to 16777216. Default: ${default}."`
	Members   int           `default:"3" placeholder:"N" help:"Members, each a process, 2 to 64. Default: ${default}."`
	Senders   []string      `default:"1,all" placeholder:"1|all" help:"How many members send: 1, all, or both. Default: ${default}."`
	Runs      *int          `placeholder:"N" help:"How often each row is measured, 1 to 100: all rows once, then all again, and so on. Figures are medians; less than 6 do not make a 95 % interval. Default: 6, or as many as --duration has 20ms for."`
	Duration  time.Duration `default:"800ms" placeholder:"TIME" help:"Time measured for each row, all runs together, at least 20ms for each: half of it at full speed for throughput, half at --load for latency. Default: ${default}."`
	Load      float64       `default:"10000" placeholder:"RATE" help:"Messages per second offered while latency is measured, all senders together, on a fixed schedule (open loop), 1 to 100000000. A row that cannot carry twice as much gets half of its own throughput; the table states what was offered. Default: ${default}."`
	Network   string        `default:"loopback" enum:"loopback,netns" placeholder:"loopback|netns" help:"Where members meet: the loopback interface, or network namespaces joined by a bridge, which vsbench makes and removes, as root only. Default: ${default}."`
	Transport string        `default:"multicast" enum:"multicast,fanout" placeholder:"multicast|fanout" help:"How what is for all members travels, raw included: by multicast, or by unicast to each member, as where a network has no multicast. Default: ${default}."`
	MTU       int           `name:"mtu" default:"0" placeholder:"BYTES" help:"MTU in bytes, 576 to 65535. Default: 1500 for netns; for loopback the interface's own, otherwise packets are cut to fit."`
	RecvBuf   int           `name:"recv-buffer" default:"0" placeholder:"BYTES" help:"Kernel memory that each receiving socket asks for, in bytes, 65536 to 1073741824. Linux gives an ordinary user 425984 unless net.core.rmem_max was raised. Default: 33554432; what is granted is less if the system says so."`
	Loss      float64       `default:"0" placeholder:"SHARE" help:"Share of the packets that come that each member loses before it looks at them, 0 to 0.5: 0.01 is one in a hundred. Default: ${default}."`
	JSON      string        `name:"json" placeholder:"FILE" help:"File for the results; - is standard output, and the table then goes to standard error. Default: results/run-TIME.json, with the time in UTC."`
	HDR       string        `name:"hdr" placeholder:"DIR" help:"Folder for the latencies as HdrHistogram's tools read them: a log (.hlog) with each run of each row, and a distribution (.hgrm) of each row. Default: none; the results have the histograms too."`

	Join bool `help:"Measure members on other hosts, each run there by vsbench member with the same --cluster: as many as --members says. Latency is then what needs no common clock; targets are not judged. Default: members are started here."`
	hostFlags

	Targets    string `placeholder:"FILE" help:"Targets to hold the results against, a TOML file like results/targets.toml. Default: that one, which is built in."`
	FailOnMiss bool   `help:"End with exit status 1 if a target is missed. Default: a miss is only shown."`

	planned run.Plan
	targets *targets.Set
}

// failoverCmd is the flags of failover.
type failoverCmd struct {
	Faults  []string      `default:"kill-leader,kill-member,kill-token-holder,silent-host,join,partition" placeholder:"FAULT" help:"What happens: kill-leader, kill-member, kill-token-holder (SIGKILL of the oldest member, of another one, of who holds the ordering token), silent-host (a member is stopped by SIGSTOP on loopback, or its cable is pulled in netns), join (one more member that must get the group's state), partition (a cable is pulled and plugged in again; netns only). Default: ${default}."`
	Members int           `default:"3" placeholder:"N" help:"Members, each a process, 3 to 63. Default: ${default}."`
	Kills   int           `default:"20" placeholder:"N" help:"How often each fault happens, 1 to 10000. Default: ${default}."`
	Rate    float64       `default:"2000" placeholder:"RATE" help:"Messages per second that each member sends, on a fixed schedule (open loop), 100 to 1000000. Default: ${default}."`
	Size    int           `default:"1024" placeholder:"BYTES" help:"Message size in bytes, 8 to 65536. Default: ${default}."`
	State   int64         `default:"16777216" placeholder:"BYTES" help:"State of the group in bytes, that join must transfer, 0 to 1073741824. Default: ${default}."`
	Timeout time.Duration `default:"500ms" placeholder:"TIME" help:"How long a member may be silent before the others go on without it, 10ms to 1m. Default: ${default}."`
	Network string        `default:"loopback" enum:"loopback,netns" placeholder:"loopback|netns" help:"Where members meet: the loopback interface, or network namespaces joined by a bridge, which vsbench makes and removes, as root only. Default: ${default}."`
	JSON    string        `name:"json" placeholder:"FILE" help:"File for the results; - is standard output, and the table then goes to standard error. Default: results/failover-TIME.json, with the time in UTC."`
}

// survivorCmd has no flags: a member of failover is told everything by its parent.
type survivorCmd struct{}

// childCmd has no flags: a member is told everything by its parent.
type childCmd struct{}

const (
	minDuration = 20 * time.Millisecond // of one run of a row
	maxRuns     = 100
	udpOverhead = 28  // bytes of IPv4 and UDP header in each packet
	minMTU      = 576 // what every IPv4 host must take; many members need more
	maxMTU      = 65535
	netnsMTU    = 1500
	maxLoss     = 0.5
	minRecvBuf  = 64 << 10
	maxRecvBuf  = 1 << 30
)

// prepare turns flags into a plan. The error names the first flag that is wrong.
func (c *runCmd) prepare() error {
	if err := c.checkHosts(); err != nil {
		return err
	}
	p := run.Plan{Levels: c.Levels, Sizes: c.Sizes, Duration: c.Duration, Load: c.Load, Network: c.Network}
	if c.Network == netnsNetwork && c.MTU == 0 {
		c.MTU = netnsMTU
	}
	p.MTU = c.MTU
	if err := c.check(); err != nil {
		return err
	}
	p.Runs, _ = runsIn(c.Runs, c.Duration) // checked
	for _, s := range c.Senders {
		n := 1
		if s == "all" {
			n = c.Members
		}
		p.Senders = append(p.Senders, n)
	}
	c.planned = p
	var err error
	c.targets, err = targets.Load(c.Targets)
	return flag("targets", err)
}

// prepare checks the flags. The error names the first one that is wrong.
func (c *failoverCmd) prepare() error {
	for _, err := range []error{
		each("faults", c.Faults, checkFault),
		flag("members", between(c.Members, 3, membership.MaxMembers-1, "processes")),
		flag("kills", between(c.Kills, 1, 10_000, "times")),
		flag("size", between(c.Size, failover.MinSize, 1<<16, "bytes")),
		flag("state", between(c.State, 0, 1<<30, "bytes")),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case !(c.Rate >= 100 && c.Rate <= 1e6):
		return fmt.Errorf("--rate: %v: want 100 to 1000000 messages per second", c.Rate)
	case c.Timeout < 10*time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("--timeout: %v: want 10ms to 1m", c.Timeout)
	}
	if why := c.impossible(c.Faults[0]); why != "" && !slices.ContainsFunc(c.Faults, func(f string) bool { return c.impossible(f) == "" }) {
		return fmt.Errorf("--faults: %s: %s: nothing to measure", c.Faults[0], why)
	}
	return nil
}

// impossible tells why a fault cannot happen on the network; nothing of one that can.
func (c *failoverCmd) impossible(fault string) string {
	return failover.Impossible(fault, c.Network == netnsNetwork)
}

func checkFault(s string) error {
	if all := failover.Faults(); !slices.Contains(all, s) {
		return fmt.Errorf("%q: want %s", s, strings.Join(all, ", "))
	}
	return nil
}

func (c *runCmd) check() error {
	for _, err := range []error{
		each("levels", c.Levels, member.CheckLevel),
		each("sizes", c.Sizes, func(n int) error { return between(n, load.MinSize, load.MaxSize, "bytes") }),
		each("senders", c.Senders, checkSenders),
		checkRuns(c.Runs),
		flag("members", between(c.Members, 2, membership.MaxMembers, "processes")),
		checkLoad(c.Load),
	} {
		if err != nil {
			return err
		}
	}
	if _, err := runsIn(c.Runs, c.Duration); err != nil {
		return err
	}
	if !(c.Loss >= 0 && c.Loss <= maxLoss) {
		return fmt.Errorf("--loss: %v: want 0 to %v", c.Loss, maxLoss)
	}
	if c.RecvBuf != 0 {
		if err := flag("recv-buffer", between(c.RecvBuf, minRecvBuf, maxRecvBuf, "bytes")); err != nil {
			return err
		}
	}
	return checkMTU(c.MTU, c.Members)
}

// checkMTU checks that what a packet says of so many members fits; 0 says that nothing was said.
func checkMTU(mtu, members int) error {
	if mtu == 0 {
		return nil
	}
	least, unit := wire.MinSegment(members)+udpOverhead, fmt.Sprintf("bytes for %d members", members)
	if least <= minMTU {
		least, unit = minMTU, "bytes"
	}
	return flag("mtu", between(mtu, least, maxMTU, unit))
}

// checkRuns checks how often each row is to be measured; nil says that nothing was said.
func checkRuns(n *int) error {
	if n == nil {
		return nil
	}
	return flag("runs", between(*n, 1, maxRuns, "runs"))
}

// runsIn returns how often each row is measured: so many times or, if nothing was said, as
// often as an interval takes and the time for all of it allows.
func runsIn(runs *int, all time.Duration) (int, error) {
	switch {
	case all < minDuration:
		return 0, fmt.Errorf("--duration: %v: want at least %v", all, minDuration)
	case runs == nil:
		return min(stat.EnoughForInterval, int(all/minDuration)), nil
	case all < minDuration*time.Duration(*runs):
		return 0, fmt.Errorf("--duration: %v: want at least %v for each of %d runs", all, minDuration, *runs)
	}
	return *runs, nil
}

// each checks the values of a list: good ones, at least one, none twice.
func each[T comparable](name string, values []T, check func(T) error) error {
	if len(values) == 0 {
		return fmt.Errorf("--%s: want at least one value", name)
	}
	for i, v := range values {
		if err := check(v); err != nil {
			return flag(name, err)
		}
		if slices.Contains(values[:i], v) {
			return fmt.Errorf("--%s: %v is there twice", name, v)
		}
	}
	return nil
}

func flag(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("--%s: %w", name, err)
}

func checkSenders(s string) error {
	if s == "1" || s == "all" {
		return nil
	}
	return fmt.Errorf("%q: want 1 or all", s)
}

func between[N int | int64](n, least, most N, unit string) error {
	if n >= least && n <= most {
		return nil
	}
	return fmt.Errorf("%d: want %d to %d %s", n, least, most, unit)
}
