package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cohort/engine"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/result"
)

// Errors. They come wrapped in one that says more.
var (
	ErrBusy = errors.New("the members are measured by another vsbench already")
	ErrGone = errors.New("it is gone: its vsbench has ended, or its host cannot be reached")
)

// gathering is how long members may take to come.
const gathering = 30 * time.Second

// Controller is who measures members on hosts.
type Controller struct {
	node    *engine.Node
	group   *engine.Group
	changed chan struct{}
	members []*remote
}

// Join finds members on the network and claims them: exactly as many as want, which must
// come within half a minute. While one has claimed them, another gets ErrBusy.
func Join(ctx context.Context, cfg Config, want int) (_ *Controller, err error) {
	limited, cancel := context.WithTimeout(ctx, gathering)
	defer cancel()
	c := &Controller{changed: make(chan struct{}, 1)}
	if c.node, err = cfg.open(limited); err != nil {
		return nil, err
	}
	if c.group, err = c.node.Join(limited, groupName, c); err == nil {
		err = c.gather(limited, cfg, want)
	}
	if err != nil {
		return nil, errors.Join(err, c.node.Close())
	}
	return c, nil
}

// Deliver answers for a member of the group that is none of the bench.
func (c *Controller) Deliver(m *engine.Message) {
	if m.Asked() {
		_ = m.Reply(nil) // an error says that nobody waits for it any more
	}
}

// View tells of a change.
func (c *Controller) View(engine.GroupView) {
	select {
	case c.changed <- struct{}{}:
	default: // it is known already
	}
}

// gather claims members until there are as many as wanted.
func (c *Controller) gather(ctx context.Context, cfg Config, want int) error {
	for {
		err := c.claim(ctx)
		switch {
		case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
			return fmt.Errorf("%d of %d members came within %v%s: start vsbench member --cluster %s on each host",
				len(c.members), want, gathering, c.names(), cfg.Cluster)
		case errors.Is(err, engine.ErrExpelled): // this ring was lost in a larger one
		case err != nil:
			return err
		case len(c.members) > want:
			return fmt.Errorf("there are %d members and not %d%s", len(c.members), want, c.names())
		case len(c.members) == want:
			return nil
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
		}
	}
}

// names lists the members for errors.
func (c *Controller) names() string {
	var list []string
	for _, m := range c.members {
		list = append(list, m.name)
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// claim claims all members that there are. Of two who claim, the first one in the total
// order is the first one at all members.
func (c *Controller) claim(ctx context.Context) error {
	replies, err := c.group.Ask(ctx, engine.Total, encode(question{Claim: true}), engine.All)
	if err != nil {
		return err
	}
	c.members = nil
	for _, r := range replies {
		a, err := decode(r)
		name := fmt.Sprintf("%s at %v", r.From.Name, r.From.Addr.Addr())
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case a.Busy != "":
			return fmt.Errorf("%s: %w: %s", name, ErrBusy, a.Busy)
		case a.Claimed != nil:
			c.members = append(c.members, &remote{c: c, name: name, claimed: *a.Claimed, rank: len(c.members)})
		}
	}
	return nil
}

// decode reads an answer; one of nobody is empty.
func decode(r engine.Reply) (a answer, err error) {
	if len(r.Payload) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(r.Payload, &a); err != nil {
		return a, fmt.Errorf("answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Fleet returns the members. Closing it does nothing.
func (c *Controller) Fleet() *fleet.Fleet {
	var all []fleet.Caller
	for _, m := range c.members {
		all = append(all, m)
	}
	return fleet.New(all)
}

// Hosts returns the members' hosts, by rank once they have opened.
func (c *Controller) Hosts() (hosts []result.Host) {
	for _, m := range c.members {
		h := m.claimed.Host
		h.Rank = m.rank
		hosts = append(hosts, h)
	}
	slices.SortStableFunc(hosts, func(a, b result.Host) int { return a.Rank - b.Rank })
	return hosts
}

// seeds are where the nodes that are measured will be.
func (c *Controller) seeds() (list []string) {
	for _, m := range c.members {
		list = append(list, fmt.Sprintf("%s:%d", m.claimed.Host.Addr, m.claimed.Port))
	}
	return list
}

// Close frees the members.
func (c *Controller) Close() error { return c.node.Close() }
