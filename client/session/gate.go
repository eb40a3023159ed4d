package session

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// Code says why a client is refused, or what a question came to.
type Code uint8

const (
	Forgotten   Code = iota + 1 // the group knows it no more: what was not acknowledged may or may not have been applied
	Full                        // the group has as many clients as it may
	Superseded                  // it has a newer connection
	Unavailable                 // this member cannot send to the group now
	NoGroup                     // this member does not serve that group
	Broken                      // it does not keep to the protocol
	_                           // retired
	TooFew                      // of a question: the others have failed or left
	codes
)

var codeNames = [codes]string{
	0: "done", Forgotten: "the client is not known any more", Full: "too many clients", Superseded: "replaced by a newer connection",
	Unavailable: "the member cannot send now", NoGroup: "the group is not served here", Broken: "not the protocol",
	TooFew: "too few members are left to answer",
}

// String says it in words.
func (c Code) String() string {
	if c < codes && codeNames[c] != "" {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// state is how far a session is.
type state uint8

const (
	opening state = iota // its open is on its way
	known                // the members know of it; their answers are waited for
	working
	dead
)

// Session is one connection of a client to this member, as far as one group goes.
type Session struct {
	Tag any // the caller's

	client    uint64
	epoch     uint64
	token     uint64 // of its open
	state     state
	ended     atomic.Bool // state is dead
	next      uint64      // number that must come next; 0 before the first
	sending   uint64      // number being sent; 0: none is
	asked     bool        // it is a question
	sent      uint64      // the last on its way
	dirty     bool        // in Member.dirty
	questions map[uint64]*asking
	base      uint64    // no question before it is among them
	free      []*waiter // told when nothing is being sent any more
}

// Ended tells whether nothing of the session is taken any more. It may be called at any
// time from anywhere.
func (s *Session) Ended() bool { return s.ended.Load() }

// waiter is an answer to a closing that is due once so many sends have ended.
type waiter struct {
	sends     int
	to, token uint64
}

// Hello takes a connection of a client. known: it has been let in before, by any
// member. epoch is greater with every connection of the client. A Welcome or a Refuse
// follows.
func (m *Member) Hello(client, epoch uint64, before bool, tag any) *Session {
	s := &Session{Tag: tag, client: client, epoch: epoch, questions: map[uint64]*asking{}}
	m.sessions[client] = append(m.sessions[client], s)
	if !m.serving() {
		m.end(s, Unavailable)
		return s
	}
	s.token = m.newRound(&round{session: s})
	m.submit(Total, letter{kind: open, client: client, seq: epoch, token: s.token, known: before})
	return s
}

// opens takes the news that a client is at a gateway.
func (m *Member) opens(from uint64, l *letter) {
	code := m.table.open(from, l)
	for _, s := range slices.Clone(m.sessions[l.client]) {
		switch {
		case from == m.self && s.token == l.token && s.state == opening:
			if code != 0 {
				m.end(s, code)
				continue
			}
			s.state = known
			m.rounds[s.token].begin(m.table.ready)
		case code == 0 && s.epoch < l.seq:
			m.end(s, Superseded)
		}
	}
	if code == 0 {
		m.here(from, l.token)
	}
}

// opened lets a client in: this member has all that any other showed it.
func (m *Member) opened(s *Session) {
	s.state = working
	m.submit(Causal, letter{kind: fence})
	m.out = append(m.out, Output{Do: Welcome, Session: s})
}

// Begin takes a client's envelope, which the caller is about to send to the group; End
// must follow. want is how many answers to a question are wanted. An error is that the
// message must not be sent: the session has ended, or it is not what may come next. A
// client begins with any that is not too new, and leaves out only what it is done with,
// which another gateway has acknowledged.
func (m *Member) Begin(s *Session, envelope []byte, want int) error {
	if s.state == dead {
		return fmt.Errorf("session: it has ended")
	}
	l, ok := parseLetter(envelope)
	if !ok || l.kind != request && l.kind != question || l.client != s.client || s.state != working || s.sending != 0 || want < All {
		return fmt.Errorf("session: client %x: %w request of %d bytes", s.client, ErrMalformed, len(envelope))
	}
	applied := m.clients[s.client].applied
	if l.seq != s.next && !(l.seq <= applied+1 && (s.next == 0 || l.seq > s.next && l.lag == 0)) {
		return fmt.Errorf("session: client %x: message %d, want %d; %d are applied", s.client, l.seq, s.next, applied)
	}
	s.sending, s.asked = l.seq, l.kind == question
	if base := l.seq - l.lag; s.base == 0 || s.base < base && len(s.questions) == 0 {
		s.base = base
	} else {
		for ; s.base < base; s.base++ { // the client is done with them
			delete(s.questions, s.base)
		}
	}
	if s.asked {
		s.questions[l.seq] = newAsking(want)
	}
	return nil
}

// End tells that the message is on its way, or that it could not be sent.
func (m *Member) End(s *Session, ok bool) {
	seq := s.sending
	s.sending = 0
	switch {
	case s.state == dead:
		m.drop(s)
	case !ok:
		m.end(s, Unavailable)
	default:
		s.next, s.sent = seq+1, seq
		if !s.dirty {
			s.dirty = true
			m.dirty = append(m.dirty, s)
		}
		m.mark()
	}
	for _, w := range s.free {
		if w.sends--; w.sends == 0 {
			m.here(w.to, w.token)
		}
	}
	s.free = nil
}

// Lost tells that the connection has ended; with bye the client is done for good, and
// is forgotten.
func (m *Member) Lost(s *Session, bye bool) {
	if bye && s.state == working {
		m.leaving = append(m.leaving, farewell{s.client, s.epoch})
	}
	m.end(s, 0)
	m.closeNext()
}

// end ends a session. Code 0: its connection is gone already.
func (m *Member) end(s *Session, why Code) {
	if s.state == dead {
		return
	}
	s.state = dead
	s.ended.Store(true)
	delete(m.rounds, s.token)
	clear(s.questions)
	if s.sending == 0 {
		m.drop(s)
	}
	if why != 0 {
		m.out = append(m.out, Output{Do: Refuse, Session: s, Code: why})
	}
}

func (m *Member) drop(s *Session) {
	list := slices.DeleteFunc(m.sessions[s.client], func(o *Session) bool { return o == s })
	if m.sessions[s.client] = list; len(list) == 0 {
		delete(m.sessions, s.client)
	}
}

// current returns the client's session here that works; nil if there is none.
func (m *Member) current(client uint64) *Session {
	for _, s := range m.sessions[client] {
		if s.state == working {
			return s
		}
	}
	return nil
}

// mark is what a marker covers of a session.
type mark struct {
	session *Session
	upto    uint64
}

// mark follows what has been sent by a marker, unless one is on its way.
func (m *Member) mark() {
	if m.marking != 0 || len(m.dirty) == 0 {
		return
	}
	m.marking = m.token()
	m.marks = m.marks[:0]
	for _, s := range m.dirty {
		s.dirty = false
		m.marks = append(m.marks, mark{s, s.sent})
	}
	m.dirty = m.dirty[:0]
	m.submit(FIFO.Safe(), letter{kind: marker, token: m.marking})
}

// marked acknowledges what a marker covers.
func (m *Member) marked() {
	m.marking = 0
	for _, k := range m.marks {
		if k.session.state == working {
			m.out = append(m.out, Output{Do: Acked, Session: k.session, Seq: k.upto})
		}
	}
	m.mark()
}
