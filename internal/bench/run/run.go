// Package run takes a fleet of members through the rows of a bench, and holds
// what they delivered against what each level promises.
package run

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"cohort/internal/bench/fleet"
	"cohort/internal/bench/kernel"
	"cohort/internal/bench/member"
	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
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
	IdleMessages = 300 // of each level, all runs together
	idleSize     = 64  // bytes
)

// Plan is what to measure.
type Plan struct {
	Levels   []string
	Sizes    []int         // bytes
	Senders  []int         // how many members send
	Runs     int           // of each row; 0 is 1
	Duration time.Duration // of a row, all runs together: half of it at full speed, half at the load
	Load     float64       // messages per second, all senders together
	Network  string
	MTU      int         // bytes; 0: the interface's own
	Open     member.Open // Index, Members and Levels are set by the Runner
}

// runs returns how many there are of each row.
func (p *Plan) runs() int { return max(p.Runs, 1) }

// each returns how long one run of a row is measured.
func (p *Plan) each() time.Duration { return p.Duration / time.Duration(p.runs()) }

// WarmUp returns how long each run of a row goes on before it is measured.
func (p *Plan) WarmUp() time.Duration {
	return min(max(p.each()/10, 10*time.Millisecond), 500*time.Millisecond)
}

// Steps returns how many runs of rows there are, those of the idle group included.
func (p *Plan) Steps() int {
	return p.runs() * (len(p.Levels)*len(p.Sizes)*len(p.Senders) + len(p.Levels))
}

// Observer hears of each run of a row that is finished; text describes it for people.
type Observer func(done, steps int, text string)

// Runner takes one fleet through one plan.
type Runner struct {
	plan    Plan
	fleet   *fleet.Fleet
	observe Observer
	meter   *noise.Meter
	start   time.Time
	rows    uint16
	done    int
}

// New returns a Runner. The members must not have been asked anything yet.
func New(p Plan, f *fleet.Fleet, o Observer) *Runner {
	return &Runner{plan: p, fleet: f, observe: o, meter: noise.NewMeter(kernel.Proc)}
}

// Run measures everything and returns the rows. An error that is a *Breach means that a level
// did not keep its promise; the result is nil with any error.
func (r *Runner) Run(ctx context.Context) (*result.Run, error) {
	res := &result.Run{Schema: result.Schema, Command: result.CommandRun, Settings: r.settings()}
	load := r.meter.Load()
	var err error
	if res.Members, err = r.open(ctx); err != nil {
		return nil, err
	}
	if err := r.heat(ctx); err != nil {
		return nil, err
	}
	res.Rows, res.Idle = r.plan.rows(r.fleet.Len())
	r.start = time.Now()
	for k := range r.plan.runs() {
		if err := r.pass(ctx, k, res); err != nil {
			return nil, err
		}
	}
	if err := res.Summarize(); err != nil {
		return nil, err
	}
	if res.Noise != nil {
		res.Noise.JudgeLoad(load, runtime.NumCPU())
	}
	return res, nil
}

func (r *Runner) settings() result.Settings {
	p := &r.plan
	return result.Settings{
		Levels: p.Levels, Sizes: p.Sizes, Members: r.fleet.Len(), Senders: p.Senders,
		Runs: p.runs(), DurationS: p.Duration.Seconds(), WarmUpS: p.WarmUp().Seconds(), LoadMsgsPerS: p.Load,
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
	i := slices.IndexFunc(r.plan.Levels, func(l string) bool { return l != member.Raw })
	if i < 0 {
		return nil
	}
	for _, size := range r.plan.Sizes {
		// The engine's memory is the same for all levels.
		c := r.next(r.plan.Levels[i], size, r.fleet.Len())
		if err := c.warm(ctx, min(r.plan.Duration, heatTime)); err != nil {
			return fmt.Errorf("%v, before the first row: %w", c, err)
		}
	}
	return nil
}

func (r *Runner) next(level string, size, senders int) *course {
	r.rows++
	return &course{
		Runner: r,
		spec:   member.Row{Number: r.rows, Level: level, Size: size, Members: r.fleet.Len(), Senders: senders},
		sent:   make([]uint64, r.fleet.Len()),
	}
}

func (r *Runner) finished(format string, args ...any) {
	r.done++
	if r.observe != nil {
		r.observe(r.done, r.plan.Steps(), fmt.Sprintf(format, args...))
	}
}
