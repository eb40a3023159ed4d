// Package run takes a fleet of members through the rows of a bench, and holds
// what they delivered against what each level promises.
package run

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/kernel"
	"cohort/internal/bench/member"
	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
)

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
	MTU      int                  // bytes; 0: the interface's own
	Peers    course.Promises      // of levels that are not the engine's
	Hosts    func() []result.Host // tells by rank where members are once they have opened; nil: on this machine
	Watch    course.Watch         // told of each phase; nil: nobody
	Open     member.Open          // Levels are set by the Runner
}

// runs returns how many there are of each row.
func (p *Plan) runs() int { return max(p.Runs, 1) }

// each returns how long one run of a row is measured.
func (p *Plan) each() time.Duration { return p.Duration / time.Duration(p.runs()) }

// WarmUp returns how long each run of a row goes on before it is measured.
func (p *Plan) WarmUp() time.Duration {
	return course.WarmUp(p.each())
}

// Steps returns how many runs of rows there are, those of the idle group included.
func (p *Plan) Steps() int {
	return p.runs() * (len(p.Levels)*len(p.Sizes)*len(p.Senders) + len(p.Levels))
}

// Transport names how what is for all members travels.
func (p *Plan) Transport() string {
	if p.Open.Fanout {
		return result.Fanout
	}
	return result.Multicast
}

// Observer hears of each run of a row that is finished; text describes it for people.
type Observer func(done, steps int, text string)

// Runner takes one fleet through one plan.
type Runner struct {
	plan    Plan
	fleet   *fleet.Fleet
	ring    *course.Ring // once it is open
	observe Observer
	meter   *noise.Meter
	start   time.Time
	done    int
	out     map[*result.Row]error // rows that are not measured, and why
}

// New returns a Runner. The members must not have been asked anything yet.
func New(p Plan, f *fleet.Fleet, o Observer) *Runner {
	r := &Runner{plan: p, fleet: f, observe: o, out: map[*result.Row]error{}, meter: noise.NewMeter(kernel.Proc, kernel.Distance)}
	if p.Hosts != nil {
		r.meter = noise.NewMeter("", func() float64 { return 0 }) // this machine's noise is not the hosts'
	}
	return r
}

// Run measures everything and returns the rows. An error that is a *course.Breach means that a level
// did not keep its promise. Beside an error the result has what was measured before, each run of
// a row whole or, of the block that was under way, at full speed alone; it is nil if that is nothing.
func (r *Runner) Run(ctx context.Context) (*result.Run, error) {
	res := &result.Run{Schema: result.Schema, Command: result.CommandRun, Settings: r.settings()}
	load := r.meter.Load()
	var err error
	open := r.plan.Open
	open.Levels = r.plan.Levels
	if r.ring, err = course.Open(ctx, r.fleet, open); err != nil {
		return nil, err
	}
	res.Members = r.ring.Members()
	if r.plan.Hosts != nil {
		res.Hosts = r.plan.Hosts()
		for _, h := range res.Hosts {
			r.ring.Hosts = append(r.ring.Hosts, h.Name)
		}
	}
	r.ring.Promises, r.ring.Watch = r.plan.Peers, r.plan.Watch
	if err := r.ring.Heat(ctx, r.plan.Levels, r.plan.Sizes, r.plan.Duration); err != nil {
		return nil, err
	}
	res.Rows, res.Idle = r.plan.rows(r.fleet.Len())
	r.start = time.Now()
	for k := 0; k < r.plan.runs() && err == nil; k++ {
		err = r.pass(ctx, k, res)
	}
	for i := range res.Rows {
		if why := r.out[&res.Rows[i]]; why != nil {
			res.Unmeasured = append(res.Unmeasured, why.Error())
		}
	}
	if res.Measured() == 0 {
		return nil, err
	}
	err = errors.Join(err, res.Summarize())
	if res.Noise != nil {
		res.Noise.JudgeLoad(load, runtime.NumCPU())
	}
	return res, err
}

func (r *Runner) settings() result.Settings {
	p := &r.plan
	return result.Settings{
		Levels: p.Levels, Sizes: p.Sizes, Members: r.fleet.Len(), Senders: p.Senders,
		Runs: p.runs(), DurationS: p.Duration.Seconds(), WarmUpS: p.WarmUp().Seconds(), LoadMsgsPerS: p.Load,
		Network: p.Network, Interface: p.Open.Interface, MTU: p.MTU, Transport: p.Transport(), RecvBuffer: p.Open.RecvBuffer, Loss: p.Open.Loss,
		IdlePauseS: IdlePause.Seconds(), IdleMessages: IdleMessages,
		LatencyCounts: latencyCounts(p.Hosts != nil),
	}
}

func latencyCounts(apart bool) string {
	if apart {
		return "the message's sender"
	}
	return "every member but the message's sender"
}

func (r *Runner) finished(format string, args ...any) {
	r.done++
	if r.observe != nil {
		r.observe(r.done, r.plan.Steps(), fmt.Sprintf(format, args...))
	}
}
