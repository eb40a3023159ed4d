package course

import (
	"context"
	"time"
)

// Saturation begins the row and finds what its level carries, messages per second at
// the slowest member: as a flood, and on a schedule, each in a phase of d. A schedule
// costs more than a flood, and so do the clock and the histogram at each delivery:
// saturation is what comes of the flood's rate once it is offered on a schedule.
func (c *Course) Saturation(ctx context.Context, d time.Duration) (flood, saturation float64, err error) {
	full, err := c.Full(ctx, WarmUp(d), d)
	if err != nil {
		return 0, 0, err
	}
	fast, err := full.Speed(c.Spec.Size)
	if err != nil {
		return 0, 0, err
	}
	over, err := c.Phase(ctx, c.Pace(fast.MsgsPerS, d))
	if err != nil {
		return 0, 0, err
	}
	paced, err := over.Speed(c.Spec.Size)
	return fast.MsgsPerS, min(fast.MsgsPerS, paced.MsgsPerS), err
}
