package session

import (
	"maps"
	"slices"
)

// round waits until each member that was up to date at a place in the total order has
// answered a message there. Answers may come before this member has got that far itself.
type round struct {
	heard   map[uint64]bool
	waits   map[uint64]bool // nil before the message is delivered here
	session *Session        // that is being opened; nil: clients are being closed
	clients []farewell      // these
	since   uint64          // tick at which that was delivered here
}

// farewell is a client that is to be forgotten, and the connection after which.
type farewell struct{ client, epoch uint64 }

func (m *Member) newRound(r *round) (token uint64) {
	token = m.token()
	r.heard = map[uint64]bool{}
	m.rounds[token] = r
	return token
}

// begin takes whom to wait for.
func (r *round) begin(members map[uint64]bool) {
	r.waits = maps.Clone(members)
	for id := range r.heard {
		delete(r.waits, id)
	}
}

// hear takes a member's answer.
func (r *round) hear(id uint64) {
	r.heard[id] = true
	delete(r.waits, id)
}

// lose takes those who are no members any more out of the wait.
func (r *round) lose(members []uint64) {
	maps.DeleteFunc(r.waits, func(id uint64, _ bool) bool { return !slices.Contains(members, id) })
}

// here answers another's round, or this member's own.
func (m *Member) here(to, token uint64) {
	if to == m.self {
		m.hears(m.self, token)
		return
	}
	m.submit(FIFO, letter{kind: here, to: to, token: token})
}

func (m *Member) hears(from, token uint64) {
	if r := m.rounds[token]; r != nil {
		r.hear(from)
		m.check(token)
	}
}

// check ends a round that all have answered.
func (m *Member) check(token uint64) {
	r := m.rounds[token]
	if r == nil || r.waits == nil || len(r.waits) > 0 {
		return
	}
	delete(m.rounds, token)
	if r.session != nil {
		m.opened(r.session)
		return
	}
	m.submit(Total, letter{kind: closed, token: token, clients: ids(m.gone(r))})
}
