package failover

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/result"
)

// Times of a round.
const (
	warmUp       = 400 * time.Millisecond // of load before the fault: beforeFor and some more
	afterwards   = 100 * time.Millisecond // of load after it is over, so that all send again
	recoverLimit = 10 * time.Second       // for throughput to be back
	recoverEvery = 20 * time.Millisecond
)

// Net is where members are started.
type Net struct {
	Interface string
	Start     func(host int, name string) (*fleet.Process, error)
	Plug      func(host int, in bool) error // connects a host or pulls its cable; nil: there are no cables
}

// Plan is what to measure.
type Plan struct {
	Name    string // of members, before their number
	Faults  []string
	Members int
	Kills   int           // how often each fault is done
	Rate    float64       // messages per second of each member
	Size    int           // bytes of a message
	State   int64         // bytes of the group's state where somebody joins
	Timeout time.Duration // engine.Config.Timeout
	Network string        // for the result
	Net     Net
}

// Steps returns how many faults are done.
func (p *Plan) Steps() int { return len(p.Faults) * p.Kills }

// Observer hears of each fault that is over; text describes it for people.
type Observer func(done, steps int, text string)

// Run does every fault as often as planned. An error means that something could not
// be measured, that a message is missing, or that orders differ; beside it the result has
// the faults before, and is nil if there are none.
func Run(ctx context.Context, p Plan, observe Observer) (*result.Failover, error) {
	res := &result.Failover{Schema: result.Schema, Command: result.CommandFailover, Rows: []result.Fault{}, Settings: result.FailoverSettings{
		Faults: p.Faults, Members: p.Members, Kills: p.Kills, RateMsgsPerS: p.Rate, SizeBytes: p.Size, StateBytes: p.State,
		TimeoutMs: milli(p.Timeout), Network: p.Network, Interface: p.Net.Interface, BucketMs: milli(time.Duration(Bucket)),
	}}
	for i, fault := range p.Faults {
		row, err := p.measure(ctx, fault, func(k int, text string) {
			observe(i*p.Kills+k+1, p.Steps(), text)
		})
		if row.Kills > 0 {
			res.Rows = append(res.Rows, row)
		}
		if len(res.Rows) == 0 {
			return nil, err
		}
		if err != nil {
			return res, err
		}
	}
	return res, nil
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measure does one fault as often as planned, to a ring of its own. Beside an error the row
// is of the faults before it.
func (p *Plan) measure(ctx context.Context, fault string, observe func(k int, text string)) (row result.Fault, err error) {
	r := &ring{plan: p, cluster: "vsbench-" + rand.Text()}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.form(ctx); err != nil {
		return row, fmt.Errorf("%s: forming a ring: %w", fault, err)
	}
	var times result.Times
	row = result.Fault{Fault: fault, Members: p.Members, Network: p.Network, TimeoutMs: milli(p.Timeout), Verified: true}
	for ; row.Kills < p.Kills; row.Kills++ {
		k := row.Kills
		t, failed := r.round(ctx, fault, k)
		if failed != nil {
			err = fmt.Errorf("%s %d of %d: %w", fault, k+1, p.Kills, failed)
			break
		}
		times.Gap, times.View = append(times.Gap, t.Gap...), append(times.View, t.View...)
		times.Recovered, times.Back = append(times.Recovered, t.Recovered...), append(times.Back, t.Back...)
		times.Timeline = append(times.Timeline, t.Timeline...)
		observe(k, fmt.Sprintf("%s: gap at most %.1f ms, view within %.1f ms", fault, milli(slices.Max(t.Gap)), milli(slices.Max(t.View))))
	}
	if row.Kills > 0 {
		err = errors.Join(err, row.Fill(times, milli(time.Duration(Bucket))))
	}
	return row, err
}

// round does one fault under load, undoes it, and compares what all have delivered.
func (r *ring) round(ctx context.Context, fault string, k int) (t result.Times, err error) {
	if fault == Join {
		if r.spare, err = r.start(r.plan.Members); err != nil {
			return t, err
		}
	}
	if _, err := r.askAll(ctx, r.members, same(Request{Op: OpStart})); err != nil {
		return t, err
	}
	if err := pause(ctx, warmUp); err != nil {
		return t, err
	}
	e, err := r.inflict(ctx, fault, k)
	if err != nil {
		return t, err
	}
	if t, err = r.observe(ctx, e); err != nil {
		return t, err
	}
	if err := r.mend(ctx, fault, &e); err != nil {
		return t, fmt.Errorf("afterwards: %w", err)
	}
	t.Back = []time.Duration{time.Duration(clock.Now() - e.ended)}
	if err := pause(ctx, afterwards); err != nil {
		return t, err
	}
	if _, err := r.askAll(ctx, r.members, same(Request{Op: OpStop})); err != nil {
		return t, err
	}
	return t, r.settle(ctx)
}

// observe waits until the fault is over for those to whom it was not done, and
// asks them what they saw.
func (r *ring) observe(ctx context.Context, e episode) (t result.Times, err error) {
	if err := r.awaitAll(ctx, r.members, e.size, e.at); err != nil {
		return t, err
	}
	q := Request{Op: OpMeasure, Size: e.size, Since: e.at, Until: clock.Now(), Hit: e.hit.name}
	every := recoverEvery
	for start := time.Now(); ; {
		if err := pause(ctx, every); err != nil {
			return t, err
		}
		replies, err := r.askAll(ctx, r.members, same(q))
		if err != nil {
			return t, err
		}
		if t = summarize(replies); t.Recovered != nil && every == afterwards {
			return t, nil
		} else if t.Recovered != nil {
			every = afterwards // once more, so that the timeline shows what came then
		}
		if time.Since(start) > recoverLimit {
			return t, fmt.Errorf("throughput was not back to %v of what it was within %v", enough, recoverLimit)
		}
	}
}

// summarize gathers what members saw; there is no Recovered until all have.
func summarize(replies []Reply) (t result.Times) {
	for _, a := range replies {
		if a.Measured.Recovered == 0 {
			return result.Times{}
		}
		t.Gap = append(t.Gap, time.Duration(a.Measured.Gap))
		t.View = append(t.View, time.Duration(a.Measured.View))
		t.Recovered = append(t.Recovered, time.Duration(a.Measured.Recovered))
		t.Timeline = append(t.Timeline, a.Measured.Timeline)
	}
	return t
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
