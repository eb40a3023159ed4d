package session

import "cohort/order"

// Window is a client's messages that it is not done with, of all its groups, in the
// order sent. It is not safe for concurrent use.
type Window struct {
	groups []lane
	queue  []*Message // oldest first
	next   int        // index in queue of what is to be sent next
	bytes  int        // of payloads in it
	added  uint64     // messages, ever
	open   int        // messages in it that are not acknowledged
	limit  int        // how many there may be, if more than one message waits
}

// lane is one group's part.
type lane struct {
	last    uint64              // number given last
	base    uint64              // the oldest not done with
	waiting map[uint64]*Message // from base to last
}

// Message is a message of a client.
type Message struct {
	Group   int // index
	Seq     uint64
	Level   order.Level
	Asked   bool
	Want    int // answers to a question
	Payload []byte
	Tag     any // the caller's

	order    uint64 // among all that were added, from 1
	acked    bool
	answered bool
}

// finished tells whether nothing more is waited for.
func (m *Message) finished() bool { return m.acked && (m.answered || !m.Asked) }

// NewWindow returns the window of a client of so many groups, which holds up to limit
// bytes of payload, and always one message.
func NewWindow(groups, limit int) *Window {
	w := &Window{groups: make([]lane, groups), limit: limit}
	for i := range w.groups {
		w.groups[i] = lane{base: 1, waiting: map[uint64]*Message{}}
	}
	return w
}

// Add numbers a message and puts it at the end; false if there is no room.
func (w *Window) Add(m *Message) bool {
	g := &w.groups[m.Group]
	if g.last-g.base+1 >= MaxWindow || w.bytes > 0 && w.bytes+len(m.Payload) > w.limit {
		return false
	}
	g.last++
	m.Seq = g.last
	w.added++
	m.order = w.added
	w.open++
	g.waiting[m.Seq] = m
	w.queue = append(w.queue, m)
	w.bytes += len(m.Payload)
	return true
}

// Next returns the next message to be sent, and the oldest number of its group that is
// not done with; nil if all have been sent.
func (w *Window) Next() (m *Message, base uint64) {
	for ; w.next < len(w.queue); w.next++ {
		m = w.queue[w.next]
		if base = w.groups[m.Group].base; m.Seq >= base {
			w.next++
			return m, base
		}
	}
	return nil, 0
}

// Moved has all that is left be sent again, through another gateway.
func (w *Window) Moved() { w.next = 0 }

// Acked takes that all messages of a group up to a number are safe. done is called for
// each message that nothing more is waited for of.
func (w *Window) Acked(group int, upto uint64, done func(*Message)) {
	if group >= len(w.groups) {
		return
	}
	g := &w.groups[group]
	for seq := g.base; seq <= min(upto, g.last); seq++ {
		if m := g.waiting[seq]; !m.acked {
			m.acked = true
			w.open--
			if m.finished() {
				done(m)
			}
		}
	}
	w.advance(g)
}

// Answered takes that all answers to a question have come.
func (w *Window) Answered(group int, seq uint64, done func(*Message)) {
	m := w.Waiting(group, seq)
	if m == nil || m.answered {
		return
	}
	if m.answered = true; m.finished() {
		done(m)
	}
	w.advance(&w.groups[group])
}

// Waiting returns a question whose answers are waited for; nil if there is no such.
func (w *Window) Waiting(group int, seq uint64) *Message {
	if group >= len(w.groups) {
		return nil
	}
	if m := w.groups[group].waiting[seq]; m != nil && m.Asked && !m.answered {
		return m
	}
	return nil
}

// Abandon has nobody wait for the answers to a question.
func (w *Window) Abandon(m *Message) { w.Answered(m.Group, m.Seq, func(*Message) {}) }

// Empty tells whether nothing is waited for.
func (w *Window) Empty() bool { return len(w.queue) == 0 }

// Idle tells whether all is acknowledged.
func (w *Window) Idle() bool { return w.open == 0 }

// Added returns how many messages were ever added.
func (w *Window) Added() uint64 { return w.added }

// Safe tells whether the first so many messages that were added are acknowledged.
func (w *Window) Safe(upto uint64) bool {
	for _, m := range w.queue {
		if m.order > upto {
			break
		}
		if !m.acked {
			return false
		}
	}
	return true
}

// advance lets go of what the group is done with.
func (w *Window) advance(g *lane) {
	for g.base <= g.last && g.waiting[g.base].finished() {
		w.bytes -= len(g.waiting[g.base].Payload)
		delete(g.waiting, g.base)
		g.base++
	}
	old := func(m *Message) bool { return m.Seq < w.groups[m.Group].base }
	k := 0
	for k < len(w.queue) && old(w.queue[k]) {
		w.queue[k] = nil
		k++
	}
	w.queue, w.next = w.queue[k:], max(w.next-k, 0)
	if len(w.queue) > len(w.groups)*MaxWindow*2 { // one that is not answered holds up the groups of others
		w.compact(old)
	}
}

// compact takes out what nothing is waited for of.
func (w *Window) compact(old func(*Message) bool) {
	kept, next := w.queue[:0], 0
	for i, m := range w.queue {
		if !old(m) {
			if i < w.next {
				next++
			}
			kept = append(kept, m)
		}
	}
	clear(w.queue[len(kept):])
	w.queue, w.next = kept, next
}
