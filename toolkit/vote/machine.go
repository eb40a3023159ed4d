package vote

import (
	"context"
	"encoding/binary"
	"slices"

	"cohort/engine"
	"cohort/toolkit"
)

// levels are what each kind of message is sent at.
type levels struct{ proposal, vote, count engine.Level }

// weakest is what works, and nothing weaker does: see the tests. A proposal has one place
// among the views, so that all know who is to vote. Votes and counts have one order, since
// a rule may look at what came first; and they are safe, since who decides by one and
// fails must have decided as the others do.
var weakest = levels{engine.Total, engine.Total.Safe(), engine.Total.Safe()}

// machine is a member's part. Its polls are a function of the group's total order.
type machine struct {
	levels levels
	rule   Rule
	view   toolkit.View
	polls  map[string]*poll
	open   []*poll  // undecided ones, oldest first
	closed []string // keys of decided ones, in the order of their decisions
	next   uint64   // number of the next poll

	waits map[string][]*wait // by key: the program's

	runs map[uint64]*run // by poll: votes that this member has to cast
	todo []*poll         // of these, what the program has not been asked yet
}

// poll is one proposal and what has become of it.
type poll struct {
	Key      string
	Num      uint64
	Electors []elector // members of the view that it was proposed in, by rank
	Decided  bool
	Outcome  Outcome // Accepted, once it is decided
}

type elector struct {
	ID    uint64
	Spent bool // it has voted, or counts as null
}

type run struct{ stop context.CancelFunc }

// wait is a call that waits for an outcome. It is given that where the decision is made: by the
// time that it looks, more may have been decided since than is remembered.
type wait struct {
	key     string
	decided bool
	outcome Outcome
}

func (m *machine) await(w *wait) { m.waits[w.key] = append(m.waits[w.key], w) }

func (m *machine) withdraw(w *wait) {
	m.waits[w.key] = slices.DeleteFunc(m.waits[w.key], func(o *wait) bool { return o == w })
	if len(m.waits[w.key]) == 0 {
		delete(m.waits, w.key)
	}
}

// over tells whether there is an outcome: it may be an older one, or one of the state that this
// member was given.
func (w *wait) over(m *machine) (bool, error) {
	if p := m.polls[w.key]; p != nil {
		w.learn(p)
	}
	return w.decided, nil
}

func (w *wait) learn(p *poll) {
	if p.Decided && !w.decided {
		w.decided, w.outcome = true, p.Outcome
	}
}

func newMachine(rule Rule) *machine {
	m := &machine{levels: weakest, rule: rule, waits: map[string][]*wait{}}
	m.reset()
	return m
}

func (m *machine) reset() {
	for num := range m.runs {
		m.drop(num)
	}
	m.polls, m.open, m.closed, m.next = map[string]*poll{}, nil, nil, 0
	m.runs, m.todo = map[uint64]*run{}, nil
}

func (m *machine) drop(num uint64) {
	if r := m.runs[num]; r != nil {
		delete(m.runs, num)
		if r.stop != nil {
			r.stop()
		}
	}
}

const (
	tagProposal = 1 // length of the key, key, proposal
	tagVote     = 2 // number of the poll, 1 for yes
	tagCount    = 3
)

var le = binary.LittleEndian

func (m *machine) propose(key string, proposal []byte, out toolkit.Out) {
	b := le.AppendUint16([]byte{tagProposal}, uint16(len(key)))
	out.Send(m.levels.proposal, append(append(b, key...), proposal...))
}

// question is a vote that the program is to cast.
type question struct {
	key      string
	proposal []byte
	num      uint64
	run      *run
}

// due returns the next vote to cast, which stop will end if it is not wanted any more.
func (m *machine) due(stop context.CancelFunc) (q question, ok bool) {
	for len(m.todo) > 0 {
		p := m.todo[0]
		m.todo = m.todo[1:]
		if r := m.runs[p.Num]; r != nil {
			r.stop = stop
			return question{p.Key, p.Outcome.Proposal, p.Num, r}, true
		}
	}
	return q, false
}

// cast sends a vote, if that is wanted still.
func (m *machine) cast(q question, yes bool, out toolkit.Out) {
	if m.runs[q.num] != q.run {
		return
	}
	b := append(le.AppendUint64([]byte{tagVote}, q.num), 0)
	if yes {
		b[len(b)-1] = 1
	}
	out.Send(m.levels.vote, b)
}

// Deliver takes a proposal, a vote or a count. What is none of these is ignored.
func (m *machine) Deliver(d toolkit.Message, _ toolkit.Out) {
	b := d.Payload
	switch {
	case len(b) >= 3 && b[0] == tagProposal && len(b)-3 >= int(le.Uint16(b[1:])):
		end := 3 + int(le.Uint16(b[1:]))
		m.takeProposal(string(b[3:end]), slices.Clone(b[end:]))
	case len(b) == 10 && b[0] == tagVote:
		m.takeVote(d.From, le.Uint64(b[1:]), b[9] == 1)
	case len(b) == 1 && b[0] == tagCount:
		m.takeCount()
	}
}

func (m *machine) takeProposal(key string, proposal []byte) {
	if m.polls[key] != nil {
		return // the first stands
	}
	p := &poll{Key: key, Num: m.next, Outcome: Outcome{Proposal: proposal, Members: len(m.view.Members)}}
	m.next++
	for _, o := range m.view.Members {
		p.Electors = append(p.Electors, elector{ID: o.ID})
	}
	m.polls[key] = p
	m.open = append(m.open, p)
	m.runs[p.Num] = &run{}
	m.todo = append(m.todo, p)
	m.decide(p)
}

func (m *machine) takeVote(from, num uint64, yes bool) {
	i := slices.IndexFunc(m.open, func(p *poll) bool { return p.Num == num })
	if i < 0 {
		return // it is decided
	}
	p := m.open[i]
	k := slices.IndexFunc(p.Electors, func(e elector) bool { return e.ID == from })
	if k < 0 || p.Electors[k].Spent {
		return
	}
	p.Electors[k].Spent = true
	if yes {
		p.Outcome.Yes++
	} else {
		p.Outcome.No++
	}
	m.decide(p)
}

// takeCount counts those who have gone without having voted.
func (m *machine) takeCount() {
	for _, p := range slices.Clone(m.open) {
		for i, e := range p.Electors {
			if m.missing(e) {
				p.Electors[i].Spent = true
				p.Outcome.Null++
			}
		}
		m.decide(p)
	}
}

func (m *machine) missing(e elector) bool { return !e.Spent && m.view.Rank(e.ID) < 0 }

// decide asks the rule. What it leaves open when nobody is left to vote is refused.
func (m *machine) decide(p *poll) {
	o := &p.Outcome
	decided, accepted := m.rule(o.Yes, o.No, o.Null, o.Members)
	if !decided && o.Yes+o.No+o.Null < o.Members {
		return
	}
	p.Decided, o.Accepted, p.Electors = true, decided && accepted, nil
	for _, w := range m.waits[p.Key] {
		w.learn(p)
	}
	m.drop(p.Num)
	m.open = slices.DeleteFunc(m.open, func(q *poll) bool { return q == p })
	if m.closed = append(m.closed, p.Key); len(m.closed) > Kept {
		delete(m.polls, m.closed[0])
		m.closed = m.closed[1:]
	}
}

// View takes a view. The oldest member has all count those who have gone: at a place of
// its own, and a safe one, unlike that of a leave.
func (m *machine) View(v toolkit.View, out toolkit.Out) {
	if v.Expelled || v.Fresh {
		m.reset()
	}
	m.view = v
	if v.Expelled || v.Blocked || v.Rank(v.Self) != 0 {
		return
	}
	if slices.ContainsFunc(m.open, func(p *poll) bool { return slices.ContainsFunc(p.Electors, m.missing) }) {
		out.Send(m.levels.count, []byte{tagCount})
	}
}
