package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cohort/internal/bench/member"
)

// System is one of several systems under test, as the process that has one member
// of it.
type System struct {
	Caller
	Levels    []string // that it has
	Addresses []string // for member.Open
}

// Joint is one member of several systems, each in a process of its own: a row is
// asked of the system that has its level, while the others are idle.
type Joint struct {
	systems []System
	opened  []member.Opened
	now     Caller // of the row
}

// NewJoint returns a member of these systems, at least one. All its members need them in the same
// order. If the engine is there it must be first: the others take their rank from it.
func NewJoint(systems []System) *Joint { return &Joint{systems: systems, now: systems[0]} }

// Name names the process that is asked.
func (j *Joint) Name() string { return j.now.Name() }

// Opened returns what the systems have opened, in their order.
func (j *Joint) Opened() []member.Opened { return j.opened }

// Ask passes a request on to the system that it is for.
func (j *Joint) Ask(ctx context.Context, q member.Request) (member.Reply, error) {
	switch {
	case q.Op == member.OpOpen && q.Open != nil:
		return j.open(ctx, *q.Open)
	case q.Op == member.OpRow && q.Row != nil:
		i := slices.IndexFunc(j.systems, func(s System) bool { return slices.Contains(s.Levels, q.Row.Level) })
		if i < 0 {
			return member.Reply{}, fmt.Errorf("level %q is not one of any system here", q.Row.Level)
		}
		j.now = j.systems[i]
	}
	return j.now.Ask(ctx, q)
}

// open opens one system after the other and answers for the first.
func (j *Joint) open(ctx context.Context, o member.Open) (first member.Reply, err error) {
	for i, s := range j.systems {
		mine := o
		mine.Levels, mine.Addresses = s.Levels, s.Addresses
		j.now = s
		r, err := s.Ask(ctx, member.Request{Op: member.OpOpen, Open: &mine})
		if err != nil {
			return member.Reply{}, err
		}
		if r.Opened == nil {
			return member.Reply{}, errors.New("opened nothing")
		}
		j.opened = append(j.opened, *r.Opened)
		if i == 0 {
			first = r
			if r.Opened.Rank >= 0 {
				o.Index = r.Opened.Rank
			}
		}
	}
	return first, nil
}

// Close ends all its processes.
func (j *Joint) Close() error {
	var parts []Caller
	for _, s := range j.systems {
		parts = append(parts, s.Caller)
	}
	return New(parts).Close()
}
