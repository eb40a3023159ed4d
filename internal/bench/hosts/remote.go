package hosts

import (
	"context"
	"errors"
	"fmt"

	"cohort/engine"
	"cohort/internal/bench/member"
)

// remote is one member, as the controller asks it.
type remote struct {
	c       *Controller
	name    string
	claimed claimed
	rank    int // in the view that is measured; without one, the place among the members
}

// Name names the process and its address.
func (r *remote) Name() string { return r.name }

// Close does nothing: the member goes on, for others.
func (r *remote) Close() error { return nil }

// Ask asks the group and takes this member's answer. That all others answer too, with
// nothing, tells at once if this one is gone.
func (r *remote) Ask(ctx context.Context, q member.Request) (member.Reply, error) {
	if q.Op == member.OpOpen && q.Open != nil {
		q.Open = r.own(*q.Open)
	}
	replies, err := r.c.group.Ask(ctx, engine.FIFO, encode(question{To: r.claimed.Key, Request: &q}), engine.All)
	for _, reply := range replies {
		if len(reply.Payload) > 0 {
			return r.take(q.Op, reply)
		}
	}
	if err == nil {
		err = fmt.Errorf("asked to %q: %w", q.Op, ErrGone)
	}
	return member.Reply{}, err
}

func (r *remote) take(op member.Op, reply engine.Reply) (member.Reply, error) {
	a, err := decode(reply)
	switch {
	case err != nil:
		return member.Reply{}, fmt.Errorf("asked to %q: %w", op, err)
	case a.Reply == nil:
		return member.Reply{}, fmt.Errorf("no reply in the answer to %q", op)
	case a.Reply.Error != "":
		return *a.Reply, errors.New(a.Reply.Error)
	}
	if o := a.Reply.Opened; o != nil && o.Rank >= 0 {
		r.rank = o.Rank
	}
	return *a.Reply, nil
}

// own returns what this member is to open.
func (r *remote) own(o member.Open) *member.Open {
	o.Interface = r.claimed.Host.Interface
	if o.Fanout { // there may be no multicast to find each other by
		o.Port, o.Seeds = r.claimed.Port, r.c.seeds()
	}
	return &o
}
