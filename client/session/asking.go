package session

import "slices"

// How many answers a question wants, beside plain numbers; as in package engine.
const (
	Majority = -1
	All      = -2
)

// asking is a question of a client that waits at its gateway.
type asking struct {
	want  int
	got   int
	heard map[uint64]bool    // members that have answered, or never will
	seen  map[[2]uint64]bool // member and index of answers that came
	waits []uint64           // members that have not, once it is delivered here
	begun bool               // it is
}

func newAsking(want int) *asking {
	return &asking{want: want, heard: map[uint64]bool{}, seen: map[[2]uint64]bool{}}
}

// lose takes those who are no members any more out of the wait.
func (q *asking) lose(members []uint64) {
	q.waits = slices.DeleteFunc(q.waits, func(id uint64) bool { return !slices.Contains(members, id) })
}

// asked notes that a question is delivered here: the group's view is the one in which
// answers are counted.
func (m *Member) asked(r Request) {
	s := m.current(r.Client)
	if s == nil || s.questions[r.Seq] == nil {
		return
	}
	q := s.questions[r.Seq]
	if q.begun {
		return
	}
	q.begun = true
	if q.want == Majority {
		q.want = len(m.view)/2 + 1
	}
	for _, id := range m.view {
		if !q.heard[id] {
			q.waits = append(q.waits, id)
		}
	}
	m.settle(s, r.Seq)
}

// answered takes an answer, or that there is none.
func (m *Member) answered(from uint64, l *letter) {
	s := m.current(l.client)
	if s == nil || s.questions[l.seq] == nil {
		return
	}
	q := s.questions[l.seq]
	q.heard[from] = true
	q.waits = slices.DeleteFunc(q.waits, func(id uint64) bool { return id == from })
	if key := [2]uint64{from, l.lag}; l.kind == answer && !q.seen[key] && (q.want < 0 || q.got < q.want) {
		q.seen[key] = true
		q.got++
		m.out = append(m.out, Output{Do: Reply, Session: s, Seq: l.seq, From: from, Payload: l.body})
	}
	m.settle(s, l.seq)
}

// settle ends a question if enough have answered, or too few can.
func (m *Member) settle(s *Session, seq uint64) {
	q := s.questions[seq]
	if !q.begun || len(q.waits) > 0 && (q.want < 0 || q.got < q.want) {
		return
	}
	delete(s.questions, seq)
	code := Code(0)
	if q.got < q.want {
		code = TooFew
	}
	m.out = append(m.out, Output{Do: Done, Session: s, Seq: seq, Code: code})
}
