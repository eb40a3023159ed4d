package toolsim

import (
	"slices"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// join has a new member ask to join: it does at the next place in the total order.
func (w *World[M]) join(machine M) {
	m := w.newMember(machine)
	w.Note("%d joins", m.ID)
	w.place(&packet[M]{joins: m, message: toolkit.Message{Level: engine.Total}})
}

// fault has somebody fail, stand still for too long, leave or join.
func (w *World[M]) fault() {
	list := w.Members()
	m := list[w.Rand.IntN(len(list))]
	if i := slices.IndexFunc(list, w.alone); i >= 0 {
		m = list[i] // the worst moment for it to fail
	}
	whole := 0 // how many can go on
	for _, o := range list {
		if !o.leaving {
			whole++
		}
	}
	switch k := w.Rand.IntN(6); {
	case k < 2:
		w.join(w.cfg.Make())
	case whole < 2 || m.leaving:
	case k == 2:
		w.Note("%d leaves", m.ID)
		m.send(&packet[M]{leaves: true, message: toolkit.Message{Level: engine.Total}})
		m.leaving = true // what its machine sends from here on is refused
	case len(list)-1 <= len(w.group())/2: // a majority must be left
	default:
		m.failed, m.mute = true, w.Rand.IntN(2) == 0
		w.Note("%d fails", m.ID)
	}
}

// alone tells whether m has delivered what nobody else has.
func (w *World[M]) alone(m *Member[M]) bool {
	return !slices.ContainsFunc(w.group(), func(o *Member[M]) bool { return o != m && o.received[m.ID] >= m.got[m.ID] })
}

// flush ends a view: those who go on deliver the same, and what only the failed had is
// lost. Each of the failed is either dead, or finds that it has been expelled.
func (w *World[M]) flush() {
	var failed []*Member[M]
	for _, m := range w.group() {
		if m.failed {
			failed = append(failed, m)
		}
	}
	w.startOrphans(failed)
	cut := w.cut()
	w.log = slices.DeleteFunc(w.log, func(p *packet[M]) bool { return p.from != nil && p.num >= cut[p.from.ID] })
	for _, s := range w.all {
		s.placed = min(s.placed, cut[s.ID])
	}
	w.Note("flush without %v: %v", numbers(failed), cut)
	for _, m := range w.Members() {
		if w.Rand.IntN(8) == 0 {
			o := m.block()
			o.flush() // it goes on: that is sent in the next view
		}
	}
	for w.drain(cut) {
	}
	for _, m := range w.Members() {
		m.change(nil, failed, membership.Crashed)
	}
	for _, m := range failed {
		m.standing = gone
		m.sent = m.sent[:min(cut[m.ID], len(m.sent))]
		if w.Rand.IntN(2) == 0 && !m.leaving {
			w.expel(m)
		}
	}
}

func numbers[M toolkit.Machine](list []*Member[M]) (ids []uint64) {
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

// startOrphans has those who join, and whose donors are all failing, get their state first.
func (w *World[M]) startOrphans(failed []*Member[M]) {
	for _, p := range w.log {
		if p.joins == nil || p.joins.standing != coming {
			continue
		}
		p.states = slices.DeleteFunc(p.states, func(s state) bool {
			return slices.ContainsFunc(failed, func(m *Member[M]) bool { return m.ID == s.by })
		})
		if len(p.states) > 0 {
			w.start(p)
		}
	}
}

// cut is how many packets of each sender are delivered before the next view. Of the
// failed it is what one of the others has, also one who has left the group and not the
// ring, if its past is not lost. Of the others it may be less than they have sent: what
// nobody else has can follow in the next view.
func (w *World[M]) cut() map[uint64]int {
	cut := map[uint64]int{}
	for _, s := range w.all {
		for _, m := range w.all {
			if m != s && (m.left || m.standing == in && !m.failed) {
				cut[s.ID] = max(cut[s.ID], m.received[s.ID])
			}
		}
		switch {
		case s.left:
			cut[s.ID] = len(s.sent)
		case s.standing == in && !s.failed:
			least := max(cut[s.ID], s.got[s.ID])
			cut[s.ID] = least + w.Rand.IntN(len(s.sent)-least+1)
		}
	}
	for again := true; again; {
		again = false
		for _, s := range w.all {
			for i, p := range s.sent[:min(cut[s.ID], len(s.sent))] {
				if p.message.Level.Order() != engine.FIFO && !covers(cut, p.past) {
					cut[s.ID], again = i, true
					break
				}
			}
		}
	}
	return cut
}

// drain delivers one thing of the cut, at one member; false if there is none left.
func (w *World[M]) drain(cut map[uint64]int) bool {
	var can []func()
	for _, m := range w.Members() {
		if k := m.joining(); k != nil {
			can = append(can, func() { w.deliver(m, k) })
		}
		for _, s := range w.all {
			if k := min(cut[s.ID], len(s.sent)); m.received[s.ID] < k {
				m.received[s.ID] = k
			}
			if p := m.next(s); p != nil && p.num < cut[s.ID] && w.settles(m, p) {
				can = append(can, func() { w.deliver(m, p) })
			}
		}
	}
	for _, s := range w.all {
		if p := s.toPlace(); p != nil && p.num < cut[s.ID] {
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

// settles tells whether m may deliver p in a flush, where all who go on have what is
// safe.
func (w *World[M]) settles(m *Member[M], p *packet[M]) bool {
	q := *p
	q.message.Level = p.message.Level.Order()
	if q.message.Level == engine.Total {
		return m.at < len(w.log) && w.log[m.at] == p && covers(m.got, p.past)
	}
	return w.deliverable(m, &q)
}

// block has a member see no majority, for now or until it is expelled. There need be no
// view of the group that ends it.
func (m *Member[M]) block() *outbox[M] {
	v := m.view
	v.Joined, v.Left, v.Fresh, v.Blocked = nil, nil, false, true
	m.w.Note("%d is blocked", m.ID)
	o := &outbox[M]{m: m}
	m.Machine.View(v, o)
	return o
}

// expel has one who was taken for dead find out, and come back as another.
func (w *World[M]) expel(m *Member[M]) {
	if w.Rand.IntN(2) == 0 {
		m.block() // what it sends is lost
	}
	v := m.view
	v.GroupView = engine.GroupView{Group: v.Group, Num: v.Num, Expelled: true, Reason: membership.Silent}
	w.Note("%d is expelled", m.ID)
	o := &outbox[M]{m: m}
	m.Machine.View(v, o) // what it sends is lost
	w.join(m.Machine)
}
