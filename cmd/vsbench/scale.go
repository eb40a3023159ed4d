package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/bench/scale"
	"cohort/membership"
)

// scaleCmd is the flags of scale.
type scaleCmd struct {
	Levels       []string      `default:"fbcast,abcast,safe-abcast" placeholder:"LEVEL" help:"Levels to measure: fbcast, cbcast, abcast, safe- of each, and raw, of which groups are not counted. Default: ${default}."`
	Members      []int         `default:"2,3,4,8,16,32" placeholder:"N" help:"Numbers of members, each a process of this machine, 2 to 64; 0 alone for none. Default: ${default}."`
	Groups       []int         `default:"1,10,100,1000,10000" placeholder:"N" help:"Numbers of groups on one ring, rising, 1 to 100000; 0 alone for none. Default: ${default}."`
	GroupMembers int           `default:"3" placeholder:"N" help:"Members of the ring on which groups are counted, 2 to 64. Default: ${default}."`
	JoinLimit    time.Duration `default:"10s" placeholder:"TIME" help:"Time to join the groups of one number; what is not reached by then is said, and ends the counting. At least 1ms. Default: ${default}."`
	Size         int           `default:"1024" placeholder:"BYTES" help:"Message size in bytes, 16 to 16777216. Default: ${default}."`
	Senders      string        `default:"1" enum:"1,all" placeholder:"1|all" help:"How many members send: 1 or all. Default: ${default}."`
	Duration     time.Duration `default:"800ms" placeholder:"TIME" help:"Time measured for each row, at least 20ms: with more members half of it at full speed and half at --load, with more groups all of it at full speed. Default: ${default}."`
	Load         float64       `default:"2000" placeholder:"RATE" help:"Messages per second offered while latency is measured, all senders together, on a fixed schedule, 1 to 100000000; half of a row's own throughput at most. Default: ${default}."`
	netFlags
}

// Help is the examples.
func (scaleCmd) Help() string {
	return examples(
		"vsbench scale                                           2 to 32 members, and 1 to 10,000 groups",
		"vsbench scale --members 2,8,64 --groups 0               members only",
		"vsbench scale --members 0 --groups 1,100000 --join-limit 5m   groups only, with time to join them",
	)
}

// prepare checks the flags. The error names the first one that is wrong.
func (c *scaleCmd) prepare() error {
	none := []int{0}
	if slices.Equal(c.Members, none) {
		c.Members = nil
	}
	if slices.Equal(c.Groups, none) {
		c.Groups = nil
	}
	if len(c.Members)+len(c.Groups) == 0 {
		return fmt.Errorf("--groups: 0, and no --members either: nothing to measure")
	}
	if c.Members != nil {
		if err := each("members", c.Members, checkMembers); err != nil {
			return err
		}
	}
	if c.Groups != nil {
		if err := each("groups", c.Groups, func(n int) error { return between(n, 1, 100_000, "groups") }); err != nil {
			return err
		}
		if !slices.IsSorted(c.Groups) {
			return fmt.Errorf("--groups: %v: want rising numbers", c.Groups)
		}
	}
	if c.JoinLimit < time.Millisecond {
		return fmt.Errorf("--join-limit: %v: want at least 1ms", c.JoinLimit)
	}
	if err := checkLevels(c.Levels); err != nil {
		return err
	}
	if c.Members == nil && len(c.ordered()) == 0 {
		return errors.New("--levels: raw has no groups, and no --members: nothing to measure")
	}
	return first(
		flag("group-members", between(c.GroupMembers, 2, membership.MaxMembers, "processes")),
		flag("size", checkSize(c.Size)), checkDuration(c.Duration), checkLoad(c.Load),
		c.check(most(append(c.Members, c.GroupMembers))),
	)
}

// plan returns what to measure with so many members.
func (c *scaleCmd) plan(members int) scale.Plan {
	senders, err := strconv.Atoi(c.Senders)
	if err != nil {
		senders = members
	}
	return scale.Plan{Levels: c.Levels, Size: c.Size, Senders: senders, Duration: c.Duration, Load: c.Load, Limit: c.JoinLimit, Network: c.Network}
}

// ordered returns the levels that have groups.
func (c *scaleCmd) ordered() []string {
	return slices.DeleteFunc(slices.Clone(c.Levels), func(l string) bool { return l == member.Raw })
}

// measure measures with each number of members and of groups, and puts the results
// where they belong.
func (c *scaleCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	steps := &course.Steps{All: len(c.Levels)*len(c.Members) + len(c.ordered())*len(c.Groups)}
	return (&output{c.JSON, stdout, stderr}).of(result.CommandScale, steps.All, func(p progress) (measurement, error) {
		started, doc := time.Now(), &result.Scaling{Rows: []result.Scale{}, Groups: []result.Groups{}}
		steps.Observe = p.row
		err := c.members(ctx, doc, steps, p)
		if err == nil {
			err = c.groups(ctx, doc, steps, p)
		}
		if len(doc.Rows)+len(doc.Groups) == 0 {
			return nil, err
		}
		doc.Head = result.NewHead(result.CommandScale, started)
		doc.Settings = result.ScalingSettings{Where: c.where(), Levels: c.Levels, SizeBytes: c.Size, Members: c.Members, Senders: c.Senders,
			DurationS: c.Duration.Seconds(), LoadMsgsPerS: c.Load, Groups: c.Groups, GroupMembers: c.GroupMembers, JoinLimitS: c.JoinLimit.Seconds()}
		return doc, err
	})
}

// members measures with each number of members.
func (c *scaleCmd) members(ctx context.Context, doc *result.Scaling, steps *course.Steps, p progress) error {
	for _, n := range c.Members {
		err := withRing(ctx, &c.netFlags, n, c.Levels, p, func(ring *course.Ring) error {
			list(doc, ring)
			rows, err := scale.Members(ctx, ring, c.plan(n), steps)
			doc.Rows = append(doc.Rows, rows...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%d members: %w", n, err)
		}
	}
	return nil
}

// list has the document list the members of the largest ring.
func list(doc *result.Scaling, ring *course.Ring) {
	if len(ring.Members()) > len(doc.Members) {
		doc.Members = ring.Members()
	}
}

// groups counts groups, if that was asked for.
func (c *scaleCmd) groups(ctx context.Context, doc *result.Scaling, steps *course.Steps, p progress) error {
	plan := c.plan(c.GroupMembers)
	if plan.Levels = c.ordered(); len(c.Groups) == 0 || len(plan.Levels) == 0 {
		return nil
	}
	return withRing(ctx, &c.netFlags, c.GroupMembers, plan.Levels, p, func(ring *course.Ring) error {
		list(doc, ring)
		rows, err := scale.Groups(ctx, ring, plan, c.Groups, steps)
		doc.Groups = append(doc.Groups, rows...)
		return err
	})
}
