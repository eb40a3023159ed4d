package course

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/kernel"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/order"
)

// Course is a row on its way through the members.
type Course struct {
	Spec member.Row // not to be changed after Begin
	ring *Ring
	sent []uint64     // by each member, in this row
	used kernel.Usage // by all processes of the bench: before the row, and in it once it has ended
}

// Used returns what all processes of the bench, this one included, took from Begin to
// Verify.
func (c *Course) Used() kernel.Usage { return c.used }

// String names the row.
func (c *Course) String() string {
	return fmt.Sprintf("%s, %s, %d sending", c.Spec.Level, result.Bytes(c.Spec.Size), c.Spec.Senders)
}

// Begin begins the row at all members.
func (c *Course) Begin(ctx context.Context) error {
	replies, err := c.all(ctx, stepLimit, func(i int) member.Request {
		row := c.Spec
		row.Self = i
		return member.Request{Op: member.OpRow, Row: &row}
	})
	c.used = usedBy(replies)
	return err
}

// Warm runs a row at full speed only to have run it; the order is checked.
func (c *Course) Warm(ctx context.Context, d time.Duration) error {
	if err := c.Begin(ctx); err != nil {
		return err
	}
	if _, err := c.Phase(ctx, member.Phase{Kind: member.Flood, Duration: d}); err != nil {
		return err
	}
	_, err := c.Verify(ctx)
	return err
}

func (c *Course) all(ctx context.Context, limit time.Duration, q func(int) member.Request) ([]member.Reply, error) {
	return c.ring.fleet.Each(ctx, c.ring.fleet.Len(), limit, q)
}

// Pace returns the phase that offers so many messages per second for so long.
func (c *Course) Pace(load float64, d time.Duration) member.Phase {
	each := load / float64(c.Spec.Senders)
	return member.Phase{
		Kind: member.Paced, Duration: d,
		Every: time.Duration(float64(time.Second) / each),
		Count: max(1, int(each*d.Seconds())),
	}
}

// Phase has one phase sent and delivered. All members are ready before the first sends.
func (c *Course) Phase(ctx context.Context, p member.Phase) (f *Figures, err error) {
	same := func(q member.Request) func(int) member.Request {
		return func(int) member.Request { return q }
	}
	if _, err := c.all(ctx, stepLimit, same(member.Request{Op: member.OpPhase, Phase: &p})); err != nil {
		return nil, err
	}
	limit := sendLimit + p.Duration + p.Every*time.Duration(p.Count)
	replies, err := c.ring.fleet.Each(ctx, c.Spec.Senders, limit, same(member.Request{Op: member.OpSend}))
	if err != nil {
		return nil, err
	}
	f = &Figures{hosts: c.ring.Hosts}
	for i, a := range replies {
		f.Sent += a.Sent - c.sent[i]
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
		f.Members = append(f.Members, *a.Measured)
	}
	if slices.ContainsFunc(f.Members, func(m member.Measured) bool { return m.Breach != nil }) {
		_, err = c.Verify(ctx)
		if err == nil {
			err = c.breach(ctx, f.undelivered())
		}
		return nil, err
	}
	if c.ring.Watch != nil {
		c.ring.Watch(f)
	}
	return f, nil
}

// Verify ends the row. It returns whether the order was checked, and a *Breach
// if it was not kept.
func (c *Course) Verify(ctx context.Context) (bool, error) {
	replies, err := c.all(ctx, stepLimit, func(int) member.Request { return member.Request{Op: member.OpDigests} })
	if err != nil {
		return false, err
	}
	c.used = usedBy(replies).Since(c.used)
	if c.Spec.Level == member.Raw {
		return false, nil
	}
	level, err := c.Spec.Promised()
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

// Full begins the row and has it sent at full speed for warm and d, and measures all but
// warm. There is no break between: after each the system places the threads anew, and rates
// rise again.
func (c *Course) Full(ctx context.Context, warm, d time.Duration) (*Figures, error) {
	if err := c.Begin(ctx); err != nil {
		return nil, err
	}
	return c.Phase(ctx, member.Phase{Kind: member.Flood, Duration: warm + d, Warm: warm})
}

// WarmUp returns how long a row that is measured for d runs before.
func WarmUp(d time.Duration) time.Duration {
	return min(max(3*d/10, 10*time.Millisecond), 500*time.Millisecond)
}

// usedBy returns what all processes of the bench, this one included, have taken so far.
func usedBy(replies []member.Reply) kernel.Usage {
	sum := kernel.Self()
	for _, a := range replies {
		if a.Used != nil {
			sum = sum.Add(*a.Used)
		}
	}
	return sum
}
