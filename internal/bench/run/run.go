// Package run takes a fleet of members through the rows of a bench, and holds
// what they delivered against what each level promises.
package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/order"
)

// How long members may take to answer. A member that waits for messages gives up
// by itself when none come, so that limit is only for one that hangs.
const (
	openLimit   = 30 * time.Second
	stepLimit   = 10 * time.Second
	sendLimit   = 30 * time.Second // beyond the phase's duration
	finishLimit = 2 * time.Minute
)

// heatTime is how long each size is sent before the first row.
const heatTime = 500 * time.Millisecond

// One message at a time on an idle group.
const (
	IdlePause    = 2 * time.Millisecond
	IdleMessages = 200
	idleSize     = 64 // bytes
)

// Plan is what to measure.
type Plan struct {
	Levels   []string
	Sizes    []int         // bytes
	Senders  []int         // how many members send
	Duration time.Duration // of a row: half of it at full speed, half at the load
	Load     float64       // messages per second, all senders together
	Network  string
	MTU      int         // bytes; 0: the interface's own
	Peers    Promises    // of levels that are not the engine's
	Open     member.Open // Index, Members and Levels are set by the Runner
}

// WarmUp returns how long a row runs before it is measured.
func (p *Plan) WarmUp() time.Duration {
	return min(max(p.Duration/10, 10*time.Millisecond), 500*time.Millisecond)
}

// Steps returns how many rows there are, those of the idle group included.
func (p *Plan) Steps() int {
	return len(p.Levels)*len(p.Sizes)*len(p.Senders) + len(p.Levels)
}

// Observer hears of each row that is finished; text describes it for people.
type Observer func(done, steps int, text string)

// Runner takes one fleet through one plan.
type Runner struct {
	plan    Plan
	fleet   *fleet.Fleet
	observe Observer
	rows    uint16
	done    int
}

// New returns a Runner. The members must not have been asked anything yet.
func New(p Plan, f *fleet.Fleet, o Observer) *Runner {
	return &Runner{plan: p, fleet: f, observe: o}
}

// Run measures everything and returns the rows. An error that is a *Breach means that a level
// did not keep its promise; the result is nil with any error.
func (r *Runner) Run(ctx context.Context) (*result.Run, error) {
	res := &result.Run{Schema: result.Schema, Settings: r.settings()}
	var err error
	if res.Members, err = r.open(ctx); err != nil {
		return nil, err
	}
	if err := r.heat(ctx); err != nil {
		return nil, err
	}
	for _, size := range r.plan.Sizes {
		for _, senders := range r.plan.Senders {
			// Levels that are compared run next to each other in time.
			for _, level := range r.plan.Levels {
				c := r.next(level, size, senders)
				row, err := r.row(ctx, c)
				if err != nil {
					return nil, fmt.Errorf("%v: %w", c, err)
				}
				res.Rows = append(res.Rows, row)
			}
		}
	}
	for _, level := range r.plan.Levels {
		idle, err := r.idle(ctx, r.next(level, idleSize, 1))
		if err != nil {
			return nil, fmt.Errorf("%s on an idle group: %w", level, err)
		}
		res.Idle = append(res.Idle, idle)
	}
	res.Ratios()
	return res, nil
}

func (r *Runner) settings() result.Settings {
	p := &r.plan
	return result.Settings{
		Levels: p.Levels, Sizes: p.Sizes, Members: r.fleet.Len(), Senders: p.Senders,
		DurationS: p.Duration.Seconds(), WarmUpS: p.WarmUp().Seconds(), LoadMsgsPerS: p.Load,
		Network: p.Network, Interface: p.Open.Interface, MTU: p.MTU, Loss: p.Open.Loss,
		IdlePauseS: IdlePause.Seconds(), IdleMessages: IdleMessages,
		LatencyCounts: "every member but the message's sender",
	}
}

// open opens all members at once, since they form a view together, and puts them into
// the order of their ranks.
func (r *Runner) open(ctx context.Context) ([]result.Member, error) {
	replies, err := r.fleet.Each(ctx, r.fleet.Len(), openLimit, func(i int) member.Request {
		o := r.plan.Open
		o.Index, o.Members, o.Levels = i, r.fleet.Len(), r.plan.Levels
		return member.Request{Op: member.OpOpen, Open: &o}
	})
	if err != nil {
		return nil, err
	}
	ranks := make([]int, len(replies))
	members := make([]result.Member, len(replies))
	for i, a := range replies {
		if a.Opened == nil {
			return nil, fmt.Errorf("member %d opened nothing", i)
		}
		if ranks[i] = a.Opened.Rank; ranks[i] < 0 {
			ranks[i] = i // no engine, no view
		}
		if ranks[i] < len(members) {
			members[ranks[i]] = result.Member{Rank: ranks[i], PID: a.Opened.PID, Engine: a.Opened.Engine, Raw: a.Opened.Raw}
		}
	}
	return members, r.fleet.Order(ranks)
}

// heat has all members send each size at full speed, unmeasured: until their
// memory has grown to what they need, the first rows would be charged for it.
func (r *Runner) heat(ctx context.Context) error {
	for _, level := range r.plan.heated() {
		for _, size := range r.plan.Sizes {
			c := r.next(level, size, r.fleet.Len())
			if err := c.warm(ctx, min(r.plan.Duration, heatTime)); err != nil {
				return fmt.Errorf("%v, before the first row: %w", c, err)
			}
		}
	}
	return nil
}

func (r *Runner) next(level string, size, senders int) *course {
	r.rows++
	return &course{
		Runner: r,
		spec:   member.Row{Number: r.rows, Level: level, Promise: r.plan.Peers[level], Size: size, Members: r.fleet.Len(), Senders: senders},
		sent:   make([]uint64, r.fleet.Len()),
	}
}

func (r *Runner) finished(format string, args ...any) {
	r.done++
	if r.observe != nil {
		r.observe(r.done, r.plan.Steps(), fmt.Sprintf(format, args...))
	}
}

// row measures one row at full speed and then at the load.
func (r *Runner) row(ctx context.Context, c *course) (row result.Row, err error) {
	if err = c.begin(ctx); err != nil {
		return row, err
	}
	if _, err = c.phase(ctx, member.Phase{Kind: member.Flood, Duration: r.plan.WarmUp()}); err != nil {
		return row, err
	}
	full, err := c.phase(ctx, member.Phase{Kind: member.Flood, Duration: r.plan.Duration / 2})
	if err != nil {
		return row, err
	}
	row = result.Row{Level: c.spec.Level, SizeBytes: c.spec.Size, Members: c.spec.Members, Senders: c.spec.Senders, Network: r.plan.Network}
	if err = full.speed(&row); err != nil {
		return row, err
	}
	load := min(r.plan.Load, row.MsgsPerS/2)
	paced, err := c.phase(ctx, c.pace(load, r.plan.Duration/2))
	if err != nil {
		return row, err
	}
	row.LoadMsgsPerS = load
	if row.Latency, err = paced.latency(); err != nil {
		return row, err
	}
	for _, m := range append(full.members, paced.members...) {
		row.Dropped += m.Dropped
		row.Retransmitted += m.Retransmitted
	}
	if row.Verified, err = c.verify(ctx); err != nil {
		return row, err
	}
	r.finished("%v: %s msgs/s, p50 %.1f µs", c, result.Count(row.MsgsPerS), row.P50Us)
	return row, nil
}

// idle measures one message at a time.
func (r *Runner) idle(ctx context.Context, c *course) (idle result.Idle, err error) {
	c.spec.Idle = true
	idle = result.Idle{Level: c.spec.Level, SizeBytes: c.spec.Size}
	if err = c.begin(ctx); err != nil {
		return idle, err
	}
	lone, err := c.phase(ctx, member.Phase{Kind: member.Lone, Every: IdlePause, Count: IdleMessages})
	if err != nil {
		return idle, err
	}
	if idle.Latency, err = lone.latency(); err != nil {
		return idle, err
	}
	if idle.Verified, err = c.verify(ctx); err != nil {
		return idle, err
	}
	r.finished("%s on an idle group: p50 %.1f µs", idle.Level, idle.P50Us)
	return idle, nil
}

// course is a row on its way through the members.
type course struct {
	*Runner
	spec member.Row
	sent []uint64 // by each member, in this row
}

// String names the row.
func (c *course) String() string {
	return fmt.Sprintf("%s, %s, %d sending", c.spec.Level, result.Bytes(c.spec.Size), c.spec.Senders)
}

func (c *course) begin(ctx context.Context) error {
	_, err := c.all(ctx, stepLimit, func(i int) member.Request {
		row := c.spec
		row.Self = i
		return member.Request{Op: member.OpRow, Row: &row}
	})
	return err
}

// warm runs a row at full speed only to have run it; the order is checked.
func (c *course) warm(ctx context.Context, d time.Duration) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	if _, err := c.phase(ctx, member.Phase{Kind: member.Flood, Duration: d}); err != nil {
		return err
	}
	_, err := c.verify(ctx)
	return err
}

func (c *course) all(ctx context.Context, limit time.Duration, q func(int) member.Request) ([]member.Reply, error) {
	return c.fleet.Each(ctx, c.fleet.Len(), limit, q)
}

// pace returns the phase that offers so many messages per second for so long.
func (c *course) pace(load float64, d time.Duration) member.Phase {
	each := load / float64(c.spec.Senders)
	return member.Phase{
		Kind: member.Paced, Duration: d,
		Every: time.Duration(float64(time.Second) / each),
		Count: max(1, int(each*d.Seconds())),
	}
}

// phase has one phase sent and delivered. All members are ready before the first sends.
func (c *course) phase(ctx context.Context, p member.Phase) (f *figures, err error) {
	same := func(q member.Request) func(int) member.Request {
		return func(int) member.Request { return q }
	}
	if _, err := c.all(ctx, stepLimit, same(member.Request{Op: member.OpPhase, Phase: &p})); err != nil {
		return nil, err
	}
	limit := sendLimit + p.Duration + p.Every*time.Duration(p.Count)
	replies, err := c.fleet.Each(ctx, c.spec.Senders, limit, same(member.Request{Op: member.OpSend}))
	if err != nil {
		return nil, err
	}
	f = &figures{spec: c.spec}
	for i, a := range replies {
		f.sent += a.Sent - c.sent[i]
		c.sent[i] = a.Sent
	}
	replies, err = c.all(ctx, finishLimit, same(member.Request{Op: member.OpWait, Expect: c.sent}))
	if err != nil {
		return nil, err
	}
	for i, a := range replies {
		if a.Measured == nil {
			return nil, fmt.Errorf("member %d measured nothing", i)
		}
		f.members = append(f.members, *a.Measured)
	}
	if slices.ContainsFunc(f.members, func(m member.Measured) bool { return m.Breach != nil }) {
		_, err = c.verify(ctx)
		if err == nil {
			err = c.breach(ctx, f.undelivered())
		}
		return nil, err
	}
	return f, nil
}

// verify ends the row. It returns whether the order was checked, and a *Breach
// if it was not kept.
func (c *course) verify(ctx context.Context) (bool, error) {
	if c.spec.Level == member.Raw {
		return false, nil
	}
	level, err := c.spec.Promised()
	if err != nil {
		return false, err
	}
	replies, err := c.all(ctx, stepLimit, func(int) member.Request { return member.Request{Op: member.OpDigests} })
	if err != nil {
		return false, err
	}
	digests := make([][]uint64, len(replies))
	for i, a := range replies {
		if a.Breach != nil {
			return false, c.breach(ctx, a.Breach)
		}
		digests[i] = a.Digests
	}
	if level.Order() == order.Total {
		if block, other, differ := check.CompareDigests(digests); differ {
			return false, c.disagreement(ctx, block, other)
		}
	}
	return true, nil
}
