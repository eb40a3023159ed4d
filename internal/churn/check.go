package churn

import (
	"fmt"
	"slices"

	"cohort/groups"
	"cohort/membership"
	"cohort/order"
)

// Violation is a property that did not hold.
type Violation struct {
	Property string
	Detail   string
}

func (v *Violation) Error() string { return v.Property + ": " + v.Detail }

// Properties names what is checked.
var Properties = []string{
	"SelfInclusion", "LocalMonotonicity", "PrimaryComponent", "Integrity", "NoDuplication", "SelfDelivery",
	"SameViewDelivery", "VirtualSynchrony", "FIFO", "Causal", "Total", "Safe", "Liveness", "NoPanic",
	"GroupTable", "StateTransfer",
}

// message is one message as an all-knowing observer sees it.
type message struct {
	from   *node
	index  int // among all of its process
	level  order.Level
	size   int
	kind   uint8
	group  string     // that it is sent to; "": to none, but to the ring
	op     *groups.Op // of a control message; nil: it is a fence
	number uint32     // of the group
	in     *view      // it was sent in; nil: not yet, as a whole
	place  int        // among its sender's in that view
	past   map[*node]int
}

func (m *message) String() string { return fmt.Sprintf("%v.%d (%v)", m.from, m.index, m.level) }

// view is one view as an observer sees it: all who were in it, together.
type view struct {
	membership.View
	sent   map[*node][]*message
	logs   map[*node]*log
	next   map[uint64]*log    // by key of the view that came next: what those who went there delivered
	agreed map[uint64]*agreed // likewise: of groups
}

// log is what one process delivered in one view. Of each sender it is a prefix.
type log struct {
	by     *node
	counts map[*node]int
	totals []*message
	safes  []*message
}

// history is all that happened in a run. It stops at the first violation.
type history struct {
	s         Scenario
	views     map[uint64]*view // by key
	byNum     map[place]uint64
	rings     map[uint64][]*node // and who has been in each
	violation *Violation
	delivered int
	changes   int
}

// place is that of a view in its ring's history: where there are majorities, only
// one can have it.
type place struct{ ring, num uint64 }

func newHistory(s Scenario) *history {
	return &history{s: s, views: map[uint64]*view{}, byNum: map[place]uint64{}, rings: map[uint64][]*node{}}
}

func (h *history) fail(property, format string, args ...any) {
	if h.violation == nil {
		h.violation = &Violation{property, fmt.Sprintf(format, args...)}
	}
}

// install notes that p has entered view v.
func (h *history) install(p *node, v membership.View) {
	h.changes++
	if v.Rank(p.id) < 0 {
		h.fail("SelfInclusion", "%v installs view %d without itself", p, v.Num)
	}
	if p.in != nil && v.Num <= p.in.Num {
		h.fail("LocalMonotonicity", "%v goes from view %d to view %d", p, p.in.Num, v.Num)
	}
	key, at := v.Key(), place{v.Ring, v.Num}
	if other, known := h.byNum[at]; known && other != key && !h.s.Lone {
		h.fail("PrimaryComponent", "%v installs another view %d than others have", p, v.Num)
	}
	h.byNum[at] = key
	h.found(p, v)
	w := h.views[key]
	if w == nil {
		w = &view{View: v, sent: map[*node][]*message{}, logs: map[*node]*log{}, next: map[uint64]*log{}, agreed: map[uint64]*agreed{}}
		h.views[key] = w
	}
	p.in = w
	w.logs[p] = &log{by: p, counts: map[*node]int{}}
}

// found notes rings. Where a majority of the expected processes forms the first
// view, there is no second while all of them are in their first life, and one that has been
// in another ring lives: a founder may fail before anybody else hears that there is a ring,
// and those who have not heard form one after a while.
func (h *history) found(p *node, v membership.View) {
	h.rings[v.Ring] = append(h.rings[v.Ring], p)
	if len(h.rings) == 1 || p.w.s.Expect <= 1 || len(p.w.all) > p.w.s.Expect {
		return
	}
	for _, q := range p.w.all {
		if q.lives > 1 {
			return
		}
	}
	if !h.livesElsewhere(v.Ring) {
		return
	}
	h.fail("PrimaryComponent", "%v installs view %d of a second ring", p, v.Num)
}

// livesElsewhere tells whether a process that has been in another ring lives.
func (h *history) livesElsewhere(ring uint64) bool {
	for other, list := range h.rings {
		if other != ring && slices.ContainsFunc(list, func(q *node) bool { return !q.dead }) {
			return true
		}
	}
	return false
}

// begin notes that the sender's machine is offered the first part of m.
func (h *history) begin(m *message) {
	m.past = map[*node]int{}
	for from, k := range m.from.in.logs[m.from].counts {
		m.past[from] = k
	}
	m.past[m.from] = len(m.from.in.sent[m.from])
}

// sent notes that the sender's machine has all of m.
func (h *history) sent(m *message) {
	m.in = m.from.in
	m.place = len(m.in.sent[m.from])
	m.in.sent[m.from] = append(m.in.sent[m.from], m)
}

// deliver holds a delivery against the properties.
func (h *history) deliver(p *node, m *message) {
	l := p.in.logs[p]
	switch {
	case m.in == nil:
		h.fail("Integrity", "%v delivers %v, which was not sent", p, m)
	case m.in != p.in:
		h.fail("SameViewDelivery", "%v delivers %v in view %d, it was sent in view %d", p, m, p.in.Num, m.in.Num)
	case m.place < l.counts[m.from]:
		h.fail("NoDuplication", "%v delivers %v, number %d of its sender in view %d, after %d", p, m, m.place, p.in.Num, l.counts[m.from])
	case m.place > l.counts[m.from]:
		h.fail("FIFO", "%v delivers %v, number %d of its sender in view %d, after %d", p, m, m.place, p.in.Num, l.counts[m.from])
	}
	if m.level.Order() >= order.Causal {
		for from, k := range m.past {
			if l.counts[from] < k {
				h.fail("Causal", "%v delivers %v after %d messages of %v, its sender had %d", p, m, l.counts[from], from, k)
			}
		}
	}
	l.counts[m.from]++
	h.delivered++
	if m.level.Order() == order.Total {
		l.totals = append(l.totals, m)
	}
	if m.level.IsSafe() {
		l.safes = append(l.safes, m)
	}
}

// leave notes that p goes from its view to the one with this key, 0 if to none
// of which it is a member by a decision that it took part in.
func (h *history) leave(p *node, key uint64) {
	l := p.in.logs[p]
	if k := len(p.in.sent[p]); l.counts[p] != k {
		h.fail("SelfDelivery", "%v goes from view %d having delivered %d of its own %d messages", p, p.in.Num, l.counts[p], k)
	}
	first := p.in.next[key]
	if first == nil {
		p.in.next[key], p.in.agreed[key] = l, &agreed{}
	}
	h.compareGroups(p, p.in.agreed[key])
	if first == nil {
		return
	}
	for from := range p.in.sent {
		if a, b := first.counts[from], l.counts[from]; a != b {
			h.fail("VirtualSynchrony", "%v and %v go together from view %d with %d and %d messages of %v", first.by, p, p.in.Num, a, b, from)
		}
	}
	if !slices.Equal(first.totals, l.totals) {
		h.fail("Total", "%v and %v go together from view %d with different orders:\n%v\n%v", first.by, p, p.in.Num, first.totals, l.totals)
	}
}

// end holds what those delivered who did not go on against what the others did. It
// may be anything if each could go on.
func (h *history) end() {
	if h.s.Lone {
		return
	}
	for _, v := range h.views {
		for _, survivor := range v.next {
			for _, l := range v.logs {
				h.compare(v, survivor, l)
			}
		}
	}
}

// compare checks that what l's process delivered as safe was delivered by the
// survivors of the view, and in the same order up to there.
func (h *history) compare(v *view, survivor, l *log) {
	for _, m := range l.safes {
		if survivor.counts[m.from] <= m.place {
			h.fail("Safe", "%v delivered %v in view %d; its survivor %v did not", l.by, m, v.Num, survivor.by)
			return
		}
	}
	last := 0
	for i, m := range l.totals {
		if m.level.IsSafe() {
			last = i + 1
		}
	}
	if last > len(survivor.totals) || !slices.Equal(l.totals[:last], survivor.totals[:last]) {
		h.fail("Total", "%v and %v, a survivor of view %d, differ in the order up to a safe message:\n%v\n%v",
			l.by, survivor.by, v.Num, l.totals[:last], survivor.totals)
	}
}
