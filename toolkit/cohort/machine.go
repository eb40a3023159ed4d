package cohort

import (
	"cmp"
	"context"
	"slices"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// levels are what requests and answers are sent at.
type levels struct{ request, answer engine.Level }

// weakest is what works, and nothing weaker does: see the tests. A request needs no order
// of its own, for each member finds who serves it from the last view it has. An answer
// comes after its request, or who gets that later would serve it again; and nobody gets
// it before no failure can erase it, or the backup would answer otherwise.
var weakest = levels{engine.FIFO, engine.Causal.Safe()}

// keepDeparted is for how many callers that have failed answers are kept: they may come
// back as other members and ask again.
const keepDeparted = 64

// machine is a member's part. All members have the same sessions in the end; who serves
// a request is a function of it and of the view.
type machine struct {
	levels   levels
	view     toolkit.View
	joined   map[uint64]uint64 // number of the view in which each member joined
	sessions map[uint64]*session
	departed []uint64 // sessions whose members have failed, the longest gone first

	// This member's own, through expulsions:
	session uint64
	last    uint64            // number of its last request
	open    map[uint64][]byte // its requests that somebody waits for

	runs map[key]*run // what this member is to serve
	todo []key        // of these, what has not begun
}

// session is what one caller has asked, and has not said that it is finished with.
type session struct {
	owner    uint64 // member that asked last
	requests map[uint64]*entry
}

type entry struct {
	view    uint64 // see request
	request []byte
	done    bool
	failed  bool
	answer  []byte
	told    bool // that it is finished; for this member's own session
}

// run is a call of the function here. It is void once the machine has another for its
// request, or none.
type run struct{ stop context.CancelFunc }

func newMachine(session uint64) *machine {
	m := &machine{levels: weakest, session: session, open: map[uint64][]byte{}}
	m.reset()
	return m
}

// reset forgets what the group shares, and all that follows from it.
func (m *machine) reset() {
	for k := range m.runs {
		m.drop(k)
	}
	m.joined, m.sessions, m.departed = map[uint64]uint64{}, map[uint64]*session{}, nil
	m.runs, m.todo = map[key]*run{}, nil
}

// ask makes a request, and returns its number.
func (m *machine) ask(payload []byte, out toolkit.Out) uint64 {
	m.last++
	m.open[m.last] = append([]byte{}, payload...) // not nil: see finished
	m.send(m.last, out)
	return m.last
}

func (m *machine) send(num uint64, out toolkit.Out) {
	r := request{key{m.session, num}, m.view.Num, m.finished(), m.open[num]}
	out.Send(m.levels.request, r.append(nil))
}

// finished lists what nobody here waits for any more, and others have not been told of.
func (m *machine) finished() (list []uint64) {
	s := m.sessions[m.session]
	if s == nil {
		return nil
	}
	for num, e := range s.requests {
		if m.open[num] == nil && !e.told {
			list = append(list, num)
		}
	}
	slices.Sort(list)
	list = list[:min(len(list), maxFinished)]
	for _, num := range list {
		s.requests[num].told = true
	}
	return list
}

// tellAgain has the next request tell all that is finished: an earlier one, that did, has
// not been sent.
func (m *machine) tellAgain() {
	if s := m.sessions[m.session]; s != nil {
		for _, e := range s.requests {
			e.told = false
		}
	}
}

// answered returns the answer to this member's own request; nil if there is none yet.
func (m *machine) answered(num uint64) *entry {
	if e := m.entry(key{m.session, num}); e != nil && e.done {
		return e
	}
	return nil
}

func (m *machine) entry(k key) *entry {
	if s := m.sessions[k.session]; s != nil {
		return s.requests[k.num]
	}
	return nil
}

// job is a call that is to be made.
type job struct {
	key
	request []byte
	run     *run
}

// due returns the next job, which stop will end if it is not wanted any more.
func (m *machine) due(stop context.CancelFunc) (j job, ok bool) {
	for len(m.todo) > 0 {
		k := m.todo[0]
		m.todo = m.todo[1:]
		if r := m.runs[k]; r != nil && r.stop == nil {
			r.stop = stop
			return job{k, m.entry(k).request, r}, true
		}
	}
	return j, false
}

// finish sends what came of a job, if that is wanted still.
func (m *machine) finish(j job, payload []byte, failed bool, out toolkit.Out) {
	if m.runs[j.key] == j.run {
		out.Send(m.levels.answer, answer{j.key, failed, payload}.append(nil))
	}
}

// drop ends the run of a request, if it has one.
func (m *machine) drop(k key) {
	if r := m.runs[k]; r != nil {
		delete(m.runs, k)
		if r.stop != nil {
			r.stop()
		}
	}
}

// Deliver takes a request or an answer.
func (m *machine) Deliver(d toolkit.Message, _ toolkit.Out) {
	if r, ok := parseRequest(d.Payload); ok {
		m.takeRequest(d.From, r)
	} else if a, ok := parseAnswer(d.Payload); ok {
		m.takeAnswer(a)
	}
}

func (m *machine) takeRequest(from uint64, r request) {
	s := m.sessions[r.session]
	if s == nil {
		s = &session{requests: map[uint64]*entry{}}
		m.sessions[r.session] = s
	}
	s.owner = from
	m.departed = slices.DeleteFunc(m.departed, func(id uint64) bool { return id == r.session })
	for _, num := range r.finished {
		delete(s.requests, num)
		m.drop(key{r.session, num})
	}
	if s.requests[r.num] == nil { // else it is asked again
		s.requests[r.num] = &entry{view: r.view, request: slices.Clone(r.payload)}
		m.assign(r.key)
	}
}

func (m *machine) takeAnswer(a answer) {
	if e := m.entry(a.key); e != nil && !e.done {
		e.done, e.failed, e.answer, e.request = true, a.failed, slices.Clone(a.payload), nil
		m.drop(a.key)
	}
}

// assign has this member serve the request if it is its turn.
func (m *machine) assign(k key) {
	if id := m.server(k); m.runs[k] == nil && id != 0 && id == m.view.Self {
		m.runs[k] = &run{}
		m.todo = append(m.todo, k)
	}
}

// server returns who serves a request; 0 if that cannot be told before the next view. Of
// those who were in the view that it was sent in and are left it is the one with the
// highest score; if none is left, the oldest member. So only a failure or a leave gives a
// request to another: not a join, and not the failure of one that does not serve it.
func (m *machine) server(k key) uint64 {
	e := m.entry(k)
	if e.done || m.view.Num < e.view || len(m.view.Members) == 0 {
		return 0
	}
	best, high := m.view.Members[0].ID, uint64(0)
	for _, o := range m.view.Members {
		if score := k.score(o.ID); m.joined[o.ID] <= e.view && score >= high {
			best, high = o.ID, score
		}
	}
	return best
}

// View takes a view: what the failed were to serve, others do.
func (m *machine) View(v toolkit.View, out toolkit.Out) {
	if v.Expelled || v.Fresh {
		m.reset()
	}
	if v.Expelled {
		m.view = toolkit.View{}
		return
	}
	back := v.Self != m.view.Self
	m.view = v
	for _, o := range v.Members {
		if _, known := m.joined[o.ID]; !known {
			m.joined[o.ID] = v.Num
		}
	}
	for _, d := range v.Left {
		delete(m.joined, d.ID)
		m.depart(d.ID, d.Reason == membership.Left)
	}
	for _, k := range m.unanswered() {
		m.assign(k)
	}
	if back {
		m.askAgain(out)
	}
}

// depart notes that a member is gone. If it has left nobody waits for its answers.
func (m *machine) depart(id uint64, left bool) {
	for _, name := range m.names() {
		switch s := m.sessions[name]; {
		case s.owner != id:
		case left:
			m.dismiss(name)
		default:
			m.departed = append(m.departed, name)
		}
	}
	for len(m.departed) > keepDeparted {
		m.dismiss(m.departed[0])
		m.departed = m.departed[1:]
	}
}

func (m *machine) dismiss(name uint64) {
	if s := m.sessions[name]; s != nil {
		for num := range s.requests {
			m.drop(key{name, num})
		}
	}
	delete(m.sessions, name)
}

// askAgain makes requests again that this member made when it was another.
func (m *machine) askAgain(out toolkit.Out) {
	var list []uint64
	for num := range m.open {
		list = append(list, num)
	}
	slices.Sort(list)
	for _, num := range list {
		m.send(num, out)
	}
}

// names lists the sessions in one order for all.
func (m *machine) names() (list []uint64) {
	for name := range m.sessions {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (m *machine) unanswered() (list []key) {
	for name, s := range m.sessions {
		for num, e := range s.requests {
			if !e.done {
				list = append(list, key{name, num})
			}
		}
	}
	slices.SortFunc(list, func(a, b key) int { return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.num, b.num)) })
	return list
}
