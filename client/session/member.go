package session

import (
	"maps"
	"slices"

	"cohort/order"
)

// FIFO and the others are the levels at which a Member's own messages go.
const (
	FIFO   = order.FIFO
	Causal = order.Causal
	Total  = order.Total
)

// Member is one member's part: it admits clients' messages, and is the gateway of the
// clients that are connected to this member. It is not safe for concurrent use. What is
// to go out is taken with Take after each call.
type Member struct {
	table
	self    uint64
	forget  uint64 // ticks after which a client that is silent is forgotten
	view    []uint64
	stopped bool   // in no view that goes on
	last    uint64 // token given last

	sessions map[uint64][]*Session // by client; also dead ones that are still sending
	rounds   map[uint64]*round     // that this member waits for, by token
	dirty    []*Session            // that have sent since the last marker
	marks    []mark                // what the marker that is on its way covers
	marking  uint64                // its token; 0: none is
	leaving  []farewell            // clients to be forgotten
	closing  uint64                // token of the closing that is on its way; 0: none is

	out []Output
}

// NewMember returns a member's part in a group that nothing is known of yet: Restore
// may follow, and Enter must. At most limit clients are let in at a time; one that has
// been silent for forget ticks is forgotten. All members of a group must have the same
// limit.
func NewMember(limit int, forget uint64) *Member {
	return &Member{
		table: newTable(limit), forget: forget, stopped: true,
		sessions: map[uint64][]*Session{}, rounds: map[uint64]*round{},
	}
}

// Output is something that is to be done.
type Output struct {
	Do      Do
	Level   order.Level // of Submit
	Payload []byte      // of Submit, the receiver's to keep; of Reply, borrowed until the next call
	Owed    bool        // of Submit: another member waits for it. To be sent as soon as it can be, unless this member is gone before
	Session *Session    // of all others but Ready
	Seq     uint64      // of Acked, Reply and Done
	From    uint64      // of Reply: the member
	Code    Code        // of Refuse and Done
}

// Do says what.
type Do uint8

const (
	Submit  Do = iota // send Payload to the group
	Ready             // this member takes clients
	Welcome           // the client may send
	Refuse            // end the client's connection, and say why
	Acked             // all up to Seq is safe
	Reply             // a member's answer to Seq
	Done              // no more answers to Seq come: 0, or TooFew
)

// Take returns what is to be done, in order. The slice is valid until the next call of
// the Member.
func (m *Member) Take() []Output {
	out := m.out
	m.out = nil
	return out
}

func (m *Member) submit(level order.Level, l letter) {
	m.out = append(m.out, Output{Do: Submit, Level: level, Payload: l.append(nil), Owed: l.kind == here || l.kind == answer || l.kind == nothing})
}

func (m *Member) token() uint64 {
	m.last++
	return m.last
}

// Request names a client's message.
type Request struct {
	Client, Seq uint64
	Asked       bool // the client waits for answers: see Member.Answer
}

// Deliver takes a message that the group delivers, in delivery order. If it is for the
// application, body, which lies in msg, is what that is to be given; of a client's
// message q says which it is, else q.Client is 0.
func (m *Member) Deliver(from uint64, msg []byte) (body []byte, q Request, deliver bool) {
	if len(msg) > 0 && msg[0] == Own {
		return msg[1:], q, true
	}
	l, ok := parseLetter(msg)
	if !ok {
		m.gaps++
		return nil, q, false
	}
	switch l.kind {
	case request, question:
		return m.fromClient(from, &l)
	case answer, nothing:
		if l.to == m.self {
			m.answered(from, &l)
		}
	case open:
		m.opens(from, &l)
	case here:
		if l.to == m.self {
			m.hears(from, l.token)
		}
	case marker:
		if from == m.self && l.token == m.marking {
			m.marked()
		}
	case closing:
		m.closes(from, &l)
	case closed:
		m.table.closed(from, &l)
		if from == m.self && l.token == m.closing {
			m.closing = 0
			m.closeNext()
		}
	case alive:
		m.heard(l.clients)
	case ready:
		m.ready[from] = true
		if from == m.self {
			m.out = append(m.out, Output{Do: Ready})
		}
	}
	return nil, q, false
}

// fromClient takes a client's message.
func (m *Member) fromClient(from uint64, l *letter) (body []byte, q Request, deliver bool) {
	q = Request{Client: l.client, Seq: l.seq, Asked: l.kind == question}
	c, v := m.admit(l)
	if q.Asked && from == m.self {
		m.asked(q)
	}
	switch {
	case v == apply && q.Asked:
		if c.answers == nil {
			c.answers = map[uint64]*answers{}
		}
		c.answers[q.Seq] = &answers{}
	case v == repeated && q.Asked:
		m.repeat(from, c, q)
	}
	return l.body, q, v == apply
}

// Enter begins the membership, or begins it again as a new member with another ID, with
// the first view that the handler is told of. With fresh the group has no state: no
// client is known.
func (m *Member) Enter(self uint64, view []uint64, fresh bool) {
	m.Stop()
	m.self = self
	if fresh {
		t := newTable(m.limit)
		t.tick, t.gaps = m.tick, m.gaps
		m.table = t
	}
	m.submit(Total, letter{kind: ready})
	m.View(view)
}

// Again says once more that this member is up to date, unless that has been delivered: it
// may not have been sent.
func (m *Member) Again() {
	if !m.stopped && !m.ready[m.self] {
		m.submit(Total, letter{kind: ready})
	}
}

// View takes who is in the group from here on, oldest first.
func (m *Member) View(members []uint64) {
	m.view = slices.Clone(members)
	maps.DeleteFunc(m.ready, func(id uint64, _ bool) bool { return !slices.Contains(members, id) })
	m.stopped = false
	for _, token := range slices.Sorted(maps.Keys(m.rounds)) {
		m.rounds[token].lose(members)
		m.check(token)
	}
	for _, s := range m.each() {
		for _, seq := range slices.Sorted(maps.Keys(s.questions)) {
			s.questions[seq].lose(members)
			m.settle(s, seq)
		}
	}
	m.closeNext()
}

// serving tells whether clients can be let in.
func (m *Member) serving() bool { return !m.stopped && m.ready[m.self] }

// Stop ends all connections, until the next view: the group does not go on here, or goes
// on without this member.
func (m *Member) Stop() {
	m.Abort()
	m.stopped = true
}

// Abort ends all connections: something could not be sent.
func (m *Member) Abort() {
	for _, s := range m.each() {
		m.end(s, Unavailable)
	}
	clear(m.rounds)
	m.closing, m.marking, m.marks, m.dirty, m.leaving = 0, 0, nil, nil, nil
}

// Snapshot encodes what all members know of clients.
func (m *Member) Snapshot() []byte { return m.append(nil) }

// Restore replaces that by another member's. The error is that b is none.
func (m *Member) Restore(b []byte) error {
	m.Stop()
	return m.restore(b)
}

// Gaps counts messages that were dropped because they were malformed, or because one
// before them had not come.
func (m *Member) Gaps() uint64 { return m.gaps }

// each lists the sessions, in an order that depends on nothing else.
func (m *Member) each() (list []*Session) {
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		list = append(list, m.sessions[id]...)
	}
	return list
}
