package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/kernel"
	"cohort/internal/bench/member"
	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
	"cohort/order"
)

// course is a row on its way through the members.
type course struct {
	*Runner
	spec member.Row
	sent []uint64 // by each member, in this row

	used kernel.Usage // by all processes of the bench before the row
	mark noise.Mark   // of the row's beginning
	// Known once the row has ended.
	noise    noise.Span
	verified bool // the order was checked
}

// String names the row.
func (c *course) String() string {
	return fmt.Sprintf("%s, %s, %d sending", c.spec.Level, result.Bytes(c.spec.Size), c.spec.Senders)
}

func (c *course) begin(ctx context.Context) error {
	replies, err := c.all(ctx, stepLimit, func(i int) member.Request {
		row := c.spec
		row.Self = i
		return member.Request{Op: member.OpRow, Row: &row}
	})
	c.used, c.mark = usedBy(replies), c.meter.Begin()
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
	return c.verify(ctx)
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
		if err = c.verify(ctx); err == nil {
			err = c.breach(ctx, f.undelivered())
		}
		return nil, err
	}
	return f, nil
}

// verify ends the row. It returns a *Breach if the order was checked and not kept.
func (c *course) verify(ctx context.Context) error {
	replies, err := c.all(ctx, stepLimit, func(int) member.Request { return member.Request{Op: member.OpDigests} })
	if err != nil {
		return err
	}
	c.noise = c.meter.End(c.mark, usedBy(replies).Since(c.used).CPU())
	if c.spec.Level == member.Raw {
		return nil
	}
	level, err := order.Parse(c.spec.Level)
	if err != nil {
		return err
	}
	digests := make([][]uint64, len(replies))
	for i, a := range replies {
		if a.Breach != nil {
			return c.breach(ctx, a.Breach)
		}
		digests[i] = a.Digests
	}
	if level.Order() == order.Total {
		if block, other, differ := check.CompareDigests(digests); differ {
			return c.disagreement(ctx, block, other)
		}
	}
	c.verified = true
	return nil
}
