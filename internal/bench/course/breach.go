package course

import (
	"context"
	"fmt"

	"cohort/internal/bench/check"
	"cohort/internal/bench/member"
)

// How many deliveries around the fault are shown.
const shown = 16

// Breach is the error of a level that did not keep its promise.
type Breach struct {
	What      *check.Breach
	Histories string // what two members delivered around it, for people
}

func (b *Breach) Error() string {
	return fmt.Sprintf("order breached: %v\n%s", b.What, b.Histories)
}

// breach shows what one member saw next to what another one saw.
func (c *Course) breach(ctx context.Context, b *check.Breach) error {
	other := 0
	if b.Member == 0 {
		other = 1
	}
	from := max(b.At, shown/2) - shown/2
	mine, err := c.history(ctx, b.Member, member.Request{From: from, Count: shown})
	if err != nil {
		return err
	}
	theirs, err := c.history(ctx, other, member.Request{From: from, Count: shown, Around: &check.Entry{Sender: b.Sender, Seq: b.Seq}})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("deliveries as sender:number\nmember %d %v\nmember %d %v\n", b.Member, mine, other, theirs)
	return &Breach{What: b, Histories: text}
}

// disagreement finds the first delivery at which member 0 and another one differ,
// in a block whose digests do.
func (c *Course) disagreement(ctx context.Context, block, other int) error {
	q := member.Request{From: uint64(block) * check.BlockSize, Count: check.BlockSize}
	a, err := c.history(ctx, 0, q)
	if err != nil {
		return err
	}
	b, err := c.history(ctx, other, q)
	if err != nil {
		return err
	}
	what := &check.Breach{Kind: check.TotalViolated, Member: 0, About: other, At: q.From}
	at, differ := check.FirstDifference(a, b)
	if !differ {
		return &Breach{What: what, Histories: fmt.Sprintf("somewhere before place %d: no longer kept\n", q.From+check.BlockSize)}
	}
	what.At = at
	from := max(at, shown/2) - shown/2
	text := check.Format("member 0", a.Cut(from, shown), fmt.Sprintf("member %d", other), b.Cut(from, shown))
	return &Breach{What: what, Histories: text}
}

func (c *Course) history(ctx context.Context, i int, q member.Request) (check.History, error) {
	q.Op = member.OpHistory
	r, err := c.ring.fleet.One(ctx, i, stepLimit, q)
	if err != nil {
		return check.History{}, err
	}
	if r.History == nil {
		return check.History{}, fmt.Errorf("member %d answered without a history", i)
	}
	return *r.History, nil
}
