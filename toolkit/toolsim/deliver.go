package toolsim

import (
	"bytes"
	"io"
	"maps"
	"slices"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// outbox sends when the machine has returned.
type outbox[M toolkit.Machine] struct {
	m    *Member[M]
	list []toolkit.Message
}

func (o *outbox[M]) Send(l engine.Level, payload []byte) {
	o.list = append(o.list, toolkit.Message{From: o.m.ID, Level: l, Payload: slices.Clone(payload)})
}

func (o *outbox[M]) flush() {
	for _, k := range o.list {
		if o.m.leaving {
			return
		}
		o.m.send(&packet[M]{message: k})
	}
}

func (m *Member[M]) send(p *packet[M]) {
	p.from, p.num, p.past = m, len(m.sent), maps.Clone(m.got)
	m.sent = append(m.sent, p)
	m.received[m.ID] = len(m.sent)
}

// move lets one thing happen that is under way; false if there is none.
func (w *World[M]) move() bool {
	var can []func()
	for _, m := range w.group() {
		if m.failed {
			continue
		}
		for _, s := range w.all {
			if m.received[s.ID] < len(s.sent) && !s.mute {
				can = append(can, func() { m.received[s.ID] += 1 + w.Rand.IntN(len(s.sent)-m.received[s.ID]) })
			}
			if p := m.next(s); p != nil && w.deliverable(m, p) {
				can = append(can, func() { w.deliver(m, p) })
			}
		}
		if k := m.joining(); k != nil {
			can = append(can, func() { w.deliver(m, k) })
		}
		if p := m.toPlace(); p != nil {
			can = append(can, func() { w.place(p) })
		}
	}
	for _, p := range w.log {
		if p.joins != nil && p.joins.standing == coming && len(p.states) > 0 {
			can = append(can, func() { w.start(p) })
		}
	}
	if len(can) == 0 {
		return false
	}
	can[w.Rand.IntN(len(can))]()
	return true
}

// next is the packet of s that m delivers next, if it has it.
func (m *Member[M]) next(s *Member[M]) *packet[M] {
	if k := m.got[s.ID]; k < m.received[s.ID] {
		return s.sent[k]
	}
	return nil
}

// joining is the next of the total order, if somebody joins there.
func (m *Member[M]) joining() *packet[M] {
	if m.at < len(m.w.log) && m.w.log[m.at].joins != nil {
		return m.w.log[m.at]
	}
	return nil
}

// toPlace is the member's next packet that has no place in the total order yet.
func (m *Member[M]) toPlace() *packet[M] {
	for ; m.placed < len(m.sent); m.placed++ {
		if m.sent[m.placed].message.Level.Order() == engine.Total {
			return m.sent[m.placed]
		}
	}
	return nil
}

func (w *World[M]) place(p *packet[M]) {
	w.log = append(w.log, p)
	if p.from != nil {
		p.from.placed = p.num + 1
	}
}

func (w *World[M]) deliverable(m *Member[M], p *packet[M]) bool {
	l := p.message.Level
	if l.Order() != engine.FIFO && !covers(m.got, p.past) {
		return false
	}
	if l.Order() == engine.Total && (m.at >= len(w.log) || w.log[m.at] != p) {
		return false
	}
	if !l.IsSafe() {
		return true
	}
	count, list := 0, w.group()
	for _, o := range list {
		if w.holds(o, m, p) {
			count++
		}
	}
	return count > len(list)/2 && !l.IsSafeAll() || count == len(list)
}

// holds tells whether o has p, its causal past and all before it in the total order.
func (w *World[M]) holds(o, m *Member[M], p *packet[M]) bool {
	if o.received[p.from.ID] <= p.num || !covers(o.received, p.past) {
		return false
	}
	if p.message.Level.Order() == engine.Total {
		for _, k := range w.log[min(o.at, m.at):m.at] {
			if k.from != nil && (o.received[k.from.ID] <= k.num || !covers(o.received, k.past)) {
				return false
			}
		}
	}
	return true
}

func covers(have, want map[uint64]int) bool {
	for id, k := range want {
		if have[id] < k {
			return false
		}
	}
	return true
}

func (w *World[M]) deliver(m *Member[M], p *packet[M]) {
	if p.from != nil {
		m.got[p.from.ID] = p.num + 1
	}
	if p.message.Level.Order() == engine.Total {
		m.at++
	}
	switch {
	case p.joins != nil:
		m.change([]*Member[M]{p.joins}, nil, 0)
		w.keepState(m, p)
	case p.leaves:
		m.change(nil, []*Member[M]{p.from}, membership.Left)
		if m == p.from {
			m.standing, m.left = gone, true
		}
	default:
		w.Note("%d delivers %d.%d, %v %x", m.ID, p.from.ID, p.num, p.message.Level, p.message.Payload)
		k := p.message
		k.Payload = slices.Clone(k.Payload)
		o := &outbox[M]{m: m}
		m.Machine.Deliver(k, o)
		for i := range k.Payload { // it was borrowed
			k.Payload[i] = 0xEE
		}
		o.flush()
	}
}

// change takes the member to the next view of the group.
func (m *Member[M]) change(joined, left []*Member[M], why membership.Reason) {
	v := m.view
	v.Num++
	v.Members, v.Joined, v.Left, v.Fresh = slices.Clone(v.Members), nil, nil, false
	for _, o := range left {
		if i := v.Rank(o.ID); i >= 0 {
			v.Left = append(v.Left, engine.Departed{Member: v.Members[i], Reason: why})
			v.Members = slices.Delete(v.Members, i, i+1)
		}
	}
	for _, o := range joined {
		v.Joined = append(v.Joined, len(v.Members))
		v.Members = append(v.Members, membership.Member{ID: o.ID})
	}
	m.show(v)
}

func (m *Member[M]) show(v toolkit.View) {
	v.Self = m.ID
	m.view = v
	m.w.Note("%d: view %d of %v", m.ID, v.Num, ids(v))
	o := &outbox[M]{m: m}
	m.Machine.View(v, o)
	o.flush()
}

func ids(v toolkit.View) (list []uint64) {
	for _, m := range v.Members {
		list = append(list, m.ID)
	}
	return list
}

func (w *World[M]) keepState(m *Member[M], p *packet[M]) {
	if p.joins.standing != coming {
		return
	}
	r, err := m.Machine.Snapshot()
	if err != nil {
		panic(err) // no machine has a reason
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	p.states = append(p.states, state{b, maps.Clone(m.got), m.view, m.ID})
}

// start brings one who joins up to the place where it does.
func (w *World[M]) start(p *packet[M]) {
	s := p.states[w.Rand.IntN(len(p.states))]
	m := p.joins
	m.standing = in
	m.received, m.got = maps.Clone(s.got), maps.Clone(s.got)
	m.received[m.ID], m.got[m.ID] = 0, 0
	m.at = slices.Index(w.log, p) + 1
	w.Note("%d has the state of %d", m.ID, s.by)
	if err := m.Machine.Restore(bytes.NewReader(s.bytes)); err != nil {
		panic(err)
	}
	m.enter(&s.view, false)
}

// enter shows the member its first view.
func (m *Member[M]) enter(v *toolkit.View, fresh bool) {
	if v == nil {
		v = &toolkit.View{GroupView: engine.GroupView{Num: 1, Fresh: fresh, Joined: []int{0}, Members: []membership.Member{{ID: m.ID}}}}
	}
	m.show(*v)
}
