package session

import (
	"maps"
	"slices"
)

// closeNext begins to forget the clients that are to be forgotten, unless that is
// under way for others.
func (m *Member) closeNext() {
	if m.closing != 0 || len(m.leaving) == 0 || !m.serving() {
		return
	}
	k := min(len(m.leaving), idsPerLetter)
	r := &round{clients: slices.Clone(m.leaving[:k])}
	m.leaving = slices.Delete(m.leaving, 0, k)
	m.closing = m.newRound(r)
	m.submit(Total, letter{kind: closing, token: m.closing, clients: ids(r.clients)})
}

// closes ends all that this member has of clients that are to be forgotten, and
// answers once nothing of it is left to be sent.
func (m *Member) closes(from uint64, l *letter) {
	m.table.closing(from, l)
	w := &waiter{to: from, token: l.token}
	for _, id := range l.clients {
		for _, s := range slices.Clone(m.sessions[id]) {
			if s.state == known || s.state == working {
				m.end(s, Superseded)
			}
			if s.sending != 0 {
				w.sends++
				s.free = append(s.free, w)
			}
		}
	}
	if r := m.rounds[l.token]; r != nil && from == m.self {
		r.begin(m.table.ready)
		r.since = m.tick
	}
	if w.sends == 0 {
		m.here(from, l.token)
	}
}

// closeAgain gives up a closing that has not been answered for as long as a client may be
// silent: a member that could not send its answer does not send it again. The clients are to
// be forgotten under a new token, but for those that have come back.
func (m *Member) closeAgain() {
	r := m.rounds[m.closing]
	if r == nil || r.waits == nil || m.tick-r.since <= m.forget {
		return
	}
	m.leaving = append(m.gone(r), m.leaving...)
	delete(m.rounds, m.closing)
	m.closing = 0
}

// gone lists the clients of this member's closing that have not come back: neither since it was
// delivered nor, of which its mark tells nothing, before.
func (m *Member) gone(r *round) []farewell {
	return slices.DeleteFunc(r.clients, func(f farewell) bool {
		c := m.clients[f.client]
		return c == nil || c.epoch != f.epoch || c.closer != m.self || c.token != m.closing
	})
}

func ids(list []farewell) (ids []uint64) {
	for _, f := range list {
		ids = append(ids, f.client)
	}
	return ids
}

// Tick lets time pass: it is to be called as often at all members. A gateway tells the
// others of its clients that send nothing; the oldest member has those forgotten that
// nobody has heard of for long.
func (m *Member) Tick() {
	m.tick++
	if !m.serving() {
		return
	}
	var idle []uint64
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		if c := m.clients[id]; c != nil && c.seen+1 < m.tick && m.current(id) != nil {
			idle = append(idle, id)
		}
	}
	for part := range slices.Chunk(idle, idsPerLetter) {
		m.submit(FIFO, letter{kind: alive, clients: part})
	}
	m.closeAgain()
	if len(m.view) > 0 && m.view[0] == m.self && m.closing == 0 && len(m.leaving) == 0 {
		for _, id := range slices.Sorted(maps.Keys(m.clients)) {
			if m.clients[id].seen+2+m.forget < m.tick { // a sign of life is at most two ticks old
				m.leaving = append(m.leaving, farewell{id, m.clients[id].epoch})
			}
		}
	}
	m.closeNext()
}
