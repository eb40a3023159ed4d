package membership

import (
	"fmt"
	"slices"

	"cohort/wire"
)

// Times of the forming protocol, in ns.
const (
	beaconEvery = 20_000_000    // between two beacons while no view holds
	forgetAfter = 3_000_000_000 // a node not heard of for this long is gone
	attemptFor  = 1_000_000_000 // a proposal that is not agreed to by then is withdrawn
)

// Former agrees on the first view of a ring: the oldest of the expected number of
// nodes that hear each other proposes it, all accept it, and then it is
// installed. It is an atomic commitment, not a consensus: a node that dies in
// the middle makes the others start over. It is pure: beacons and the time, in
// ns, go in, beacons come out.
//
// A node gives its word to one proposer, and keeps it until forgetAfter has passed
// without a word from that one. It repeats its agreement for attemptFor only, and
// an attempt lasts no longer: so, where beacons are not under way for more than
// the rest, a view is never installed with the agreement of a node that has since
// agreed with somebody else.
type Former struct {
	self   Member
	expect int
	heard  []sighting // by ID, others only

	accepted View // what this node has agreed to; Num 0: nothing
	heardIts int64
	proposed View // by this node; Num 0: nothing
	agreed   []bool
	since    int64 // of proposed

	installed bool
	view      View
	problem   error

	due    int64
	told   bool // the proposer has said that the view holds
	answer bool // say Install or Formed at the next step
	to     wire.Kind
}

type sighting struct {
	Member
	at int64
}

// NewFormer returns a Former for self, which wants a first view of expect
// members, 1 to MaxMembers.
func NewFormer(now int64, self Member, expect int) *Former {
	f := &Former{self: self, expect: expect, due: now}
	if expect == 1 { // nobody else has a say in it
		f.install(View{Num: 1, Members: []Member{self}})
	}
	return f
}

// View returns the first view, once ok.
func (f *Former) View() (v View, ok bool) { return f.view, f.installed }

// Problem returns what keeps the view from forming, as far as that is known;
// nil if nothing but waiting.
func (f *Former) Problem() error {
	if f.problem == nil && !f.installed && len(f.heard)+1 < f.expect {
		names := f.self.Name
		for _, s := range f.heard {
			names += ", " + s.Name
		}
		return fmt.Errorf("membership: %d of %d expected members have been heard: %s", len(f.heard)+1, f.expect, names)
	}
	return f.problem
}

// Due returns when Step must be called at the latest.
func (f *Former) Due() int64 { return f.due }

// Receive takes a beacon from another node.
func (f *Former) Receive(now int64, b Beacon) {
	if b.From.ID == f.self.ID {
		return
	}
	if f.installed {
		f.guide(now, b)
		return
	}
	if b.Kind != wire.Formed && b.Expect != f.expect {
		f.problem = fmt.Errorf("membership: %s at %v expects %d members, this node %d", b.From.Name, b.From.Addr, b.Expect, f.expect)
		return
	}
	f.see(now, b.From)
	switch b.Kind {
	case wire.Propose:
		f.consider(now, b)
	case wire.Accept:
		if f.proposed.Num > 0 && b.View.Key() == f.proposed.Key() {
			if r := f.proposed.Rank(b.From.ID); r >= 0 {
				f.agreed[r] = true
			}
		}
	case wire.Install, wire.Formed:
		if b.View.Rank(f.self.ID) >= 0 {
			f.install(b.View)
		} else if b.Kind == wire.Formed {
			f.problem = fmt.Errorf("membership: the ring has formed its first view, of %d members, without this node; %s said so",
				len(b.View.Members), b.From.Name)
		}
	}
}

// guide helps nodes that have not noticed that the view is installed.
func (f *Former) guide(now int64, b Beacon) {
	if b.Kind == wire.Install || b.Kind == wire.Formed || f.view.Members[0].ID != f.self.ID {
		return
	}
	f.answer, f.to, f.due = true, wire.Install, min(f.due, now)
	if f.view.Rank(b.From.ID) < 0 {
		f.to = wire.Formed
	}
}

func (f *Former) see(now int64, m Member) {
	i, known := slices.BinarySearchFunc(f.heard, m.ID, func(s sighting, id uint64) int {
		return Older(Member{ID: s.ID}, Member{ID: id})
	})
	if known {
		f.heard[i] = sighting{m, now}
	} else if len(f.heard) < 4*MaxMembers {
		f.heard = slices.Insert(f.heard, i, sighting{m, now})
	}
}

// consider accepts a proposal by the view's oldest member, unless this node has
// given its word to another.
func (f *Former) consider(now int64, b Beacon) {
	v := b.View
	if v.Members[0].ID != b.From.ID || v.Rank(f.self.ID) < 0 || f.proposed.Num > 0 {
		return
	}
	if f.bound(now) && f.accepted.Members[0].ID != b.From.ID {
		return
	}
	f.accepted, f.heardIts = v, now
	f.due = min(f.due, now)
}

// bound tells whether this node has given its word to a proposer.
func (f *Former) bound(now int64) bool { return f.accepted.Num > 0 && now-f.heardIts <= forgetAfter }

func (f *Former) install(v View) {
	f.installed, f.view = true, v
	f.problem = nil
}

// Step returns the beacons to multicast now.
func (f *Former) Step(now int64) []Beacon {
	if f.installed {
		return f.stepInstalled(now)
	}
	f.heard = slices.DeleteFunc(f.heard, func(s sighting) bool { return now-s.at > forgetAfter })
	f.propose(now)
	if f.proposed.Num > 0 && !slices.Contains(f.agreed, false) {
		f.install(f.proposed)
		return f.stepInstalled(now)
	}
	if now < f.due {
		return nil
	}
	f.due = now + beaconEvery
	switch {
	case f.proposed.Num > 0:
		return []Beacon{{Kind: wire.Propose, From: f.self, Expect: f.expect, View: f.proposed}}
	case f.accepted.Num > 0 && now-f.heardIts <= attemptFor:
		return []Beacon{{Kind: wire.Accept, From: f.self, Expect: f.expect, View: f.accepted}}
	}
	return []Beacon{{Kind: wire.Hello, From: f.self, Expect: f.expect}}
}

// stepInstalled says what the proposer of the view has to say: that it holds.
func (f *Former) stepInstalled(now int64) []Beacon {
	if f.proposed.Num > 0 && !f.told {
		f.answer, f.to = true, wire.Install
	}
	f.due = Never
	if !f.answer {
		return nil
	}
	f.answer, f.told = false, true
	return []Beacon{{Kind: f.to, From: f.self, Expect: f.expect, View: f.view}}
}

// Never is the due time of a Former that waits for beacons only.
const Never = 1<<63 - 1

// propose makes this node propose a view if it is the oldest of enough nodes, and
// withdraws a proposal that somebody does not answer.
func (f *Former) propose(now int64) {
	if f.proposed.Num > 0 {
		if now-f.since > attemptFor {
			f.proposed = View{}
		}
		return
	}
	if len(f.heard)+1 < f.expect || f.bound(now) {
		return
	}
	all := []Member{f.self}
	for _, s := range f.heard {
		all = append(all, s.Member)
	}
	slices.SortFunc(all, Older)
	if all[0].ID != f.self.ID {
		return
	}
	f.proposed, f.since = View{Num: 1, Members: all[:f.expect]}, now
	f.agreed = make([]bool, f.expect)
	f.agreed[0] = true
	f.accepted = View{}
	f.due = now
}
