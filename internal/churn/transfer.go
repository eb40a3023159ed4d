package churn

import (
	"encoding/binary"
	"slices"

	"cohort/groups"
	"cohort/membership"
	"cohort/site"
)

// This file is the transfer of states between nodes, and what views of the ring do
// to groups.

// offerOf returns the offer with this key, which may still have to be made.
func (p *node) offerOf(key offerKey) *offer {
	i := slices.IndexFunc(p.offers, func(o *offer) bool { return o.key == key })
	if i < 0 {
		p.offers = append(p.offers, &offer{key: key})
		i = len(p.offers) - 1
	}
	return p.offers[i]
}

// takeOffer removes an offer; false if it was withdrawn.
func (p *node) takeOffer(o *offer) bool {
	i := slices.Index(p.offers, o)
	if i >= 0 {
		p.offers = slices.Delete(p.offers, i, i+1)
	}
	return i >= 0
}

// fetchFrom fetches the state from the member with this rank.
func (p *node) fetchFrom(g *local, donor int) {
	r := g.restore
	if r == nil || r.running != nil || r.fresh != nil {
		return
	}
	if donor < 0 && !r.triedAny(p.in.View) {
		p.cannotRestore(g)
		return
	}
	w, f, starts := p.w, &fetch{}, p.starts
	r.running, r.waits = f, donor < 0
	f.end = func(s state, l groups.Label, ok bool) {
		f.end = func(state, groups.Label, bool) {}
		p.take(func() {
			if p.starts == starts {
				p.restored(g, r, s, l, ok)
			}
		})
	}
	if r.waits { // for the ring to say whether those who did not give it have failed
		w.at(w.now+ringTimeouts*w.s.Timeout, func() { f.end(state{}, groups.Label{}, false) })
		return
	}
	r.donor = p.in.Members[donor].ID
	q, key := w.ids[r.donor], offerKey{g.name, p.id, r.serial}
	w.say("%v fetches the state of %s from %v", p, g.name, q)
	fail := func() { f.end(state{}, groups.Label{}, false) }
	born := q.starts
	w.carry(p, q, w.latency(), func() {
		if q.dead || q.starts != born {
			w.carry(q, p, w.latency(), fail)
			return
		}
		q.take(func() { q.give(p, f, key, fail) })
	})
}

// give sends a state to one who fetches it, once the snapshot is there.
func (p *node) give(to *node, f *fetch, key offerKey, fail func()) {
	w, o, given := p.w, p.offerOf(key), false
	o.taker = func() {
		given = true
		if !p.takeOffer(o) || o.none {
			w.carry(p, to, w.latency(), fail)
			return
		}
		starts := p.starts
		w.carry(p, to, w.latency()+w.dice.Int64N(1+w.s.Transfer), func() {
			if p.dead || p.starts != starts {
				fail()
			} else {
				f.end(*o.state, o.label, true)
			}
		})
	}
	if o.state != nil || o.none {
		o.taker()
		return
	}
	w.at(w.now+awaitFor, func() {
		if !given {
			p.takeOffer(o)
			w.carry(p, to, w.latency(), fail)
		}
	})
}

// withdraw takes back the offers to a member that is gone; 0: to all.
func (p *node) withdraw(id uint64) {
	p.offers = slices.DeleteFunc(p.offers, func(o *offer) bool { return id == 0 || o.key.joiner == id })
}

// restored takes what came of fetching a state.
func (p *node) restored(g *local, r *restore, s state, l groups.Label, ok bool) {
	r.running = nil
	if g.restore != r {
		return
	}
	if r.cut {
		if g.restore = nil; g.again {
			g.again = false
			p.rejoin(g)
		}
		return
	}
	if r.void {
		p.startOver(g)
		return
	}
	if r.fresh != nil {
		s, l, ok = newState(), *r.fresh, true
	}
	switch {
	case !ok && r.waits && p.proc.Blocked():
		p.fetchFrom(g, -1)
		return
	case !ok && r.waits && p.unasked(g):
		p.askAgain(g)
		return
	case !ok && r.waits:
		p.cannotRestore(g)
		return
	case !ok:
		p.restart(g)
		return
	}
	p.w.res.Restored++
	r.done, r.got = true, s.clone()
	r.filter.Restored(l)
}

// showGroups goes on with the groups that have got a state, once it is certain that
// it is what all others have at that place.
func (p *node) showGroups() {
	if p.in == nil || p.proc.Site() == nil {
		return
	}
	for _, g := range p.locals() {
		r := g.restore
		if r == nil || !r.done {
			continue
		}
		switch yes, known := r.filter.Binds(groups.LabelAt(p.proc.Site().Machine(), p.proc.Site().After())); {
		case yes:
			p.show(g)
		case known:
			r.done = false
			p.restart(g)
		}
	}
}

// restart has another member give the state.
func (p *node) restart(g *local) {
	r := g.restore
	p.w.say("%v does not get the state of %s", p, g.name)
	p.w.res.Refetched++
	r.tried = append(r.tried, r.donor)
	p.askAgain(g)
}

// askAgain asks the ring for a donor that has not been tried.
func (p *node) askAgain(g *local) {
	p.w.made++
	r := g.restore
	r.serial = p.w.made
	p.operate(groups.Op{Kind: groups.Restart, Name: g.name, Serial: r.serial, Tried: r.tried})
}

// unasked tells whether somebody has the state who has not been asked for it.
func (p *node) unasked(g *local) bool {
	t := p.roster.Table
	return t.Donor(t.Get(g.id), p.rank(), g.restore.tried) >= 0
}

// show begins with the view that the state belongs to.
func (p *node) show(g *local) {
	r, views := g.restore, 0
	for _, k := range r.kept {
		if k.Mark != groups.View {
			continue
		}
		if k.At == r.filter.Num() {
			g.members = r.views[views]
			p.drain(g, r.got)
			return
		}
		views++
	}
	p.w.h.fail("StateTransfer", "%v has got a state of %s of view %d of it, which it has not seen", p, g.name, r.filter.Num())
}

// drain delivers what was kept and the state does not contain.
func (p *node) drain(g *local, s state) {
	r, skipped := g.restore, 0
	g.state = s
	for _, k := range r.kept {
		skip := r.filter.Skips(&k)
		switch {
		case k.Mark == groups.View:
			if !skip {
				g.members = r.views[0]
			}
			r.views = r.views[1:]
		case skip && k.Mark == groups.Message:
			skipped++
		case skip:
		case k.Mark == groups.Offer:
			g.fill(r.offers[k.At])
		case k.Mark == groups.Message && slices.Contains(g.members, k.Sender):
			from := p.w.all[binary.LittleEndian.Uint32(k.Payload)]
			g.state.add(from.sent[binary.LittleEndian.Uint32(k.Payload[4:])])
		}
	}
	p.w.say("%v is up to the state of %s: %d records were kept, %d messages among them were in the state", p, g.name, len(r.kept), skipped)
	p.w.res.Skipped += skipped
	g.restore = nil
	p.operate(groups.Op{Kind: groups.Ready, Name: g.name})
}

// cannotRestore leaves a group whose state cannot be had.
func (p *node) cannotRestore(g *local) {
	p.w.say("%v leaves %s: nobody has its state", p, g.name)
	g.restore, g.lost = nil, true
	p.operate(groups.Op{Kind: groups.Leave, Name: g.name})
}

// cutShort ends a restore of which nothing is wanted any more.
func (p *node) cutShort(g *local) {
	switch r := g.restore; {
	case r == nil:
	case r.running != nil:
		r.cut = true
		r.running.end(state{}, groups.Label{}, false)
	default:
		g.restore = nil
	}
}

// enterGroups begins with a ring's groups.
func (p *node) enterGroups() {
	p.roster.Enter(p.in.View, p.rank())
	p.learned()
}

// learned carries out what was kept until the table was there, and joins the groups.
func (p *node) learned() {
	ops, ok := p.roster.Learned()
	if !ok {
		return
	}
	for _, o := range ops {
		p.apply(o.Sender, o.Op)
	}
	for _, g := range p.locals() {
		p.rejoin(g)
	}
}

// seekRoster asks for the table if it has not come.
func (p *node) seekRoster() {
	posts, err := p.roster.Ask(p.w.now)
	p.mail(posts, err)
	p.learned()
}

func (p *node) mail(posts []groups.Post, err error) {
	if err != nil {
		p.w.h.fail("GroupTable", "%v cannot read a table: %v", p, err)
	}
	for _, l := range posts {
		p.w.say("%v => %v  %v", p, p.w.ids[l.To], l.Kind)
		p.w.letter(p, l.To, l.Letter.Append(nil))
	}
}

// passGroups goes to the ring's next view.
func (p *node) passGroups(c site.Change) {
	for _, d := range c.Gone {
		p.withdraw(c.Old.Members[d.Rank].ID)
	}
	shifts := p.roster.Pass(c.Next, p.rank())
	if !p.roster.Known() {
		return
	}
	for _, g := range p.locals() {
		g.ringPasses(c)
	}
	for _, s := range shifts {
		g := s.Group.Local
		if g == nil || g.id == 0 {
			continue
		}
		switch {
		case s.Fresh < 0:
		case s.Fresh != p.rank():
			p.startOver(g)
		case g.restore != nil && !p.bound(g):
			p.orphaned(g, s.Group.Views)
		}
		p.tell(s.Group)
	}
	p.mail(p.roster.Welcome(), nil)
}

// bound tells whether the group has a state to go on with, though it is not up to date.
func (p *node) bound(g *local) bool {
	yes, _ := g.restore.filter.Binds(groups.LabelAt(p.proc.Site().Machine(), p.proc.Site().After()))
	return g.restore.done && yes
}

// startOver has the state come from another member, whatever p has got, or is
// getting, from those who are gone.
func (p *node) startOver(g *local) {
	p.w.say("%v starts over with the state of %s", p, g.name)
	if r := g.restore; r != nil && r.running != nil {
		r.void = true
		r.running.end(state{}, groups.Label{}, false)
		return
	}
	p.w.made++
	g.restore = &restore{serial: p.w.made, filter: groups.NewFilter(p.proc.Site().Key())}
	p.tell(p.roster.Table.Get(g.id))
	p.operate(groups.Op{Kind: groups.Restart, Name: g.name, Serial: g.restore.serial})
}

// ringPasses notes the ring's next view. A donor that has failed is waited for no more.
func (g *local) ringPasses(c site.Change) {
	r := g.restore
	if r == nil {
		return
	}
	r.filter.Ended(groups.LabelAt(c.Ended, c.Next.Key()))
	r.kept = append(r.kept, groups.Record{Mark: groups.Ring, At: c.Next.Key()})
	if r.running != nil && !r.hopes(c.Next) {
		r.running.end(state{}, groups.Label{}, false)
	}
}

// hopes tells whether the next view leaves somebody that is waited for.
func (r *restore) hopes(v membership.View) bool {
	return r.waits && r.triedAny(v) || !r.waits && v.Rank(r.donor) >= 0
}

// triedAny tells whether a donor that failed is in the view.
func (r *restore) triedAny(v membership.View) bool {
	return slices.ContainsFunc(r.tried, func(id uint64) bool { return v.Rank(id) >= 0 })
}

// ringTimeouts is how long a joiner that nobody gives the state waits for the ring's next view.
const ringTimeouts = 3

// orphaned begins a group anew of which all who had the state are gone.
func (p *node) orphaned(g *local, num uint64) {
	p.w.say("%v begins %s anew", p, g.name)
	p.w.res.Orphaned++
	r := g.restore
	r.fresh = &groups.Label{Num: num, Fresh: true}
	if r.running != nil {
		r.running.end(state{}, groups.Label{}, false)
		return
	}
	p.take(func() { p.restored(g, r, state{}, groups.Label{}, true) })
}

// blockGroups tells the groups that nothing goes on.
func (p *node) blockGroups() {
	for _, g := range p.locals() {
		if g.id != 0 {
			p.tell(p.roster.Table.Get(g.id))
		}
	}
}

// outOfGroups ends the membership in a ring.
func (p *node) outOfGroups() {
	p.roster.Out()
	p.fence = false
	p.withdraw(0)
	for _, g := range p.locals() {
		g.id = 0
		p.cutShort(g)
	}
}

// compareGroups holds p's table and states against those of others who have
// delivered the same. in names the place: those who are to agree use the same map.
func (h *history) compareGroups(p *node, in *agreed) {
	if !p.roster.Known() {
		return
	}
	table := p.roster.Table.Append(nil)
	if in.table == nil {
		in.by, in.table = p, table
	} else if string(in.table) != string(table) {
		h.fail("GroupTable", "%v and %v have different tables in view %d:\n%x\n%x", in.by, p, p.in.Num, in.table, table)
	}
	for i, name := range groupNames[1:] {
		g := p.joined[name]
		if g == nil || g.id == 0 || g.restore != nil || g.lost {
			continue
		}
		if in.states[i] == nil {
			s := g.state.clone()
			in.states[i], in.whose[i] = &s, p
		} else if d := in.states[i].differs(&g.state, len(p.w.all)); d != "" {
			h.fail("StateTransfer", "%v and %v have different states of %s at the end of view %d: %s", in.whose[i], p, name, p.in.Num, d)
		}
	}
}

// agreed is what all who have delivered the same agree on.
type agreed struct {
	by     *node
	table  []byte
	states [2]*state
	whose  [2]*node
}

// unwellGroups says what p lacks of its groups.
func (p *node) unwellGroups() string {
	if !p.roster.Known() {
		return "does not know the table of groups"
	}
	for _, g := range p.locals() {
		if g.id == 0 || g.restore != nil {
			return "has not joined " + g.name
		}
	}
	for _, t := range p.roster.Table.All() {
		for r, m := range p.in.Members {
			g := p.w.ids[m.ID].joined[t.Name]
			if t.Members>>r&1 != 0 && (g == nil || g.id != t.ID) {
				return "has a member of " + t.Name + " in its table that is none"
			}
		}
	}
	return ""
}
