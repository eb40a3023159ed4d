package churn

import (
	"fmt"

	"cohort/core"
	"cohort/groups"
	"cohort/order"
)

// This file is a node's part in groups, as package engine plays it: the table and
// what follows from it are package groups', and so are the rules of the transfer of
// a state. All groups are stateful; a state is what has been delivered.

// Kinds of messages.
const (
	plain   = 0
	control = 3 // operations of groups, and fences
)

const (
	awaitFor = 10_000 * milli // how long one who fetches a state waits for the snapshot
	mainName = "main"         // the group that every process joins
	sideName = "side"         // and the one that some do
)

var groupNames = []string{"", mainName, sideName}

// local is a node's membership in a group.
type local struct {
	name    string
	id      uint32 // in the table; 0: not a member now
	members []uint64
	restore *restore
	again   bool // join again once the restore that was cut short has ended
	lost    bool // it has no state, and is being left
	state   state
}

// restore is the bringing up to date of a group that is being joined.
type restore struct {
	serial  uint64
	filter  groups.Filter
	kept    []groups.Record
	views   [][]uint64 // members, by views among the records
	offers  []*offer   // likewise
	running *fetch
	cut     bool
	void    bool
	waits   bool // what runs is no fetching, but for the ring to say who has failed
	donor   uint64
	tried   []uint64
	fresh   *groups.Label
	done    bool
	got     state // once done
}

// fetch is a state under way. Only its first end counts.
type fetch struct {
	end func(s state, l groups.Label, ok bool)
}

type offerKey struct {
	group          string
	joiner, serial uint64
}

// offer is a snapshot that was taken for a joiner, or will be.
type offer struct {
	key   offerKey
	label groups.Label
	state *state
	none  bool   // there is no state: its donor has given the group up
	taker func() // who waits for it
}

// state is all that has been delivered to a group since it began: of each sender and
// of the total order, how much and a hash over it.
type state struct {
	from  map[int]chain // by node
	total chain
}

type chain struct {
	count int
	hash  uint64
}

func (c chain) add(m *message) chain {
	return chain{c.count + 1, (c.hash ^ uint64(m.from.number)<<32 ^ uint64(m.index)) * 0x9e3779b97f4a7c15}
}

func newState() state { return state{from: map[int]chain{}} }

func (s *state) clone() state {
	t := newState()
	t.total = s.total
	for k, c := range s.from {
		t.from[k] = c
	}
	return t
}

func (s *state) add(m *message) {
	s.from[m.from.number] = s.from[m.from.number].add(m)
	if m.level.Order() == order.Total {
		s.total = s.total.add(m)
	}
}

// differs says how two states differ; "" if they do not.
func (s *state) differs(t *state, nodes int) string {
	for k := range nodes {
		if a, b := s.from[k], t.from[k]; a != b {
			return fmt.Sprintf("%d and %d messages of %d, or other ones", a.count, b.count, k)
		}
	}
	if s.total != t.total {
		return fmt.Sprintf("%d and %d messages in the total order, or another order", s.total.count, t.total.count)
	}
	return ""
}

func (p *node) locals() (list []*local) {
	for _, name := range groupNames[1:] {
		if g := p.joined[name]; g != nil {
			list = append(list, g)
		}
	}
	return list
}

func (p *node) rank() int { return p.in.Rank(p.id) }

// join has p become a member of a group, now or when it knows the table.
func (p *node) join(name string) {
	if p.joined[name] != nil {
		return
	}
	p.joined[name] = &local{name: name}
	if p.roster.Known() {
		p.rejoin(p.joined[name])
	}
}

func (p *node) rejoin(g *local) {
	if g.again = g.restore != nil && g.restore.running != nil; !g.again {
		p.w.made++
		p.operate(groups.Op{Kind: groups.Join, Name: g.name, Stateful: true, Serial: p.w.made})
	}
}

// operate sends an operation.
func (p *node) operate(o groups.Op) {
	p.enqueue(&message{from: p, level: order.Total, kind: control, op: &o})
}

// submitting prepares for what an operation will do, just before it is packed.
func (p *node) submitting(m *message) {
	if m.op == nil || m.op.Kind != groups.Join {
		return
	}
	if g := p.joined[m.op.Name]; g != nil {
		g.restore = &restore{serial: m.op.Serial, filter: groups.NewFilter(p.proc.Site().Key())}
		if t := p.roster.Table.Find(g.name); t != nil {
			t.Local = g
		}
	}
}

// address finds the number of the group that m goes to; false if p is not in it.
func (p *node) address(m *message) bool {
	if m.group == "" {
		return true
	}
	g := p.joined[m.group]
	if g == nil || g.id == 0 {
		return false
	}
	m.number = g.id
	return true
}

// dispatch hands a delivered message to its group.
func (p *node) dispatch(d *core.Delivery, m *message) {
	if m.kind == control {
		if m.op != nil && p.roster.Op(d.Sender, *m.op) {
			p.apply(d.Sender, *m.op)
		}
		return
	}
	t := p.roster.Table.Get(d.Group)
	if t == nil || t.Local == nil {
		return
	}
	switch g := t.Local; {
	case g.restore != nil:
		g.restore.kept = append(g.restore.kept, groups.Record{
			At: d.Packet, Pos: d.Pos, Rank: d.Sender, Sender: p.in.Members[d.Sender].ID, Payload: append([]byte(nil), d.Payload[:headSize]...),
		})
	case t.Members>>d.Sender&1 != 0 && !g.lost:
		g.state.add(m)
	}
}

// apply carries out an operation of the member with this rank.
func (p *node) apply(sender int, o groups.Op) {
	own := sender == p.rank()
	e := p.roster.Table.Apply(sender, o)
	if !e.Done {
		return
	}
	t := e.Group
	switch o.Kind {
	case groups.Join:
		p.fence = true
		p.joins(t, own, o, e)
	case groups.Leave:
		p.fence = true
		p.leaves(t, own)
	case groups.Ready:
		if g := t.Local; g != nil && g.restore != nil && g.restore.running != nil && g.restore.waits {
			g.restore.running.end(state{}, groups.Label{}, false) // there is somebody to ask
		}
	case groups.Restart:
		if own && t.Local != nil {
			p.fetchFrom(t.Local, e.Donor)
		}
	}
	if e.Donor == p.rank() && t.Local != nil {
		p.offer(t, offerKey{t.Name, p.in.Members[sender].ID, o.Serial})
	}
}

func (p *node) joins(t *groups.Group[*local], own bool, o groups.Op, e groups.Effect[*local]) {
	if own {
		if t.Local = p.joined[o.Name]; t.Local == nil {
			return
		}
		t.Local.id = t.ID
	} else if g := p.joined[o.Name]; t.Local == nil && g != nil && g.restore != nil {
		t.Local = g
	}
	g := t.Local
	switch {
	case g == nil || g.id == 0:
	case own && e.Fresh:
		p.w.say("%v begins group %s", p, g.name)
		g.restore, g.state = nil, newState()
		p.tell(t)
	case own:
		p.tell(t)
		p.fetchFrom(g, e.Donor)
	default:
		p.tell(t)
	}
}

func (p *node) leaves(t *groups.Group[*local], own bool) {
	g := t.Local
	if g == nil || g.id == 0 {
		return
	}
	p.tell(t)
	if own {
		t.Local = nil
		p.cutShort(g)
		g.id = 0
		delete(p.joined, g.name)
	}
}

// tell shows a group its view.
func (p *node) tell(t *groups.Group[*local]) {
	g := t.Local
	var members []uint64
	for r, m := range p.in.Members {
		if t.Members>>r&1 != 0 {
			members = append(members, m.ID)
		}
	}
	if g.restore == nil {
		g.members = members
		return
	}
	g.restore.views = append(g.restore.views, members)
	g.restore.kept = append(g.restore.kept, groups.Record{Mark: groups.View, At: t.Views})
}

// offer takes a snapshot for a joiner, at this place in the order.
func (p *node) offer(t *groups.Group[*local], key offerKey) {
	o := p.offerOf(key)
	o.label = groups.LabelAt(p.proc.Site().Machine(), p.proc.Site().After())
	o.label.Num = t.Views
	if o.none = t.Local.lost; o.none {
		if o.taker != nil {
			o.taker()
		}
		return
	}
	if r := t.Local.restore; r != nil {
		if r.done {
			r.filter.Cover(&o.label)
		}
		r.offers = append(r.offers, o)
		r.kept = append(r.kept, groups.Record{Mark: groups.Offer, At: uint64(len(r.offers) - 1)})
		return
	}
	t.Local.fill(o)
}

func (g *local) fill(o *offer) {
	s := g.state.clone()
	if o.state = &s; o.taker != nil {
		o.taker()
	}
}
