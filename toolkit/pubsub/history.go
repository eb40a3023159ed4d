package pubsub

import (
	"slices"

	"cohort/engine"
)

// history is what the members of a group that subscribe know alike: how many messages
// each sender has sent, and the last ones of each topic. Members that have delivered
// the same have the same counts, for each sender's messages come in its order; so a
// sender and a number name a message, at no byte on the wire.
type history struct {
	limits
	epoch   epoch
	senders map[uint64]*sender
	gone    []uint64 // IDs of senders that have left, the first to go first
	forgot  uint64   // how many senders have been forgotten
	last    *sender  // of the message before: most are of the same
	lastID  uint64
	topics  map[string]*topic

	ends  entry // of all that is kept, a ring in the order of arrival: next is the oldest
	bytes int   // that the entries take
	spare *entry
}

type limits struct {
	each  int // messages of a topic that are kept
	bytes int // that all take together, at most
}

// epoch names a history from its beginning with nothing; the zero epoch is before that.
type epoch struct{ num, id uint64 }

type sender struct {
	count uint64 // of its messages
	born  uint64 // how many senders had been forgotten when it joined: its count began after that
	had   uint64 // up to which this process had them before it was expelled
}

// topic is a topic that a message has come for.
type topic struct {
	name string
	kept []*entry // oldest first
	gen  uint64   // of the subscriptions that subs is true for
	subs []*Sub
}

// entry is a message that is kept.
type entry struct {
	topic      *topic
	from, num  uint64
	forgot     uint64 // which of the forgotten senders it is of, counted from 1; 0: of one that is known
	level      engine.Level
	payload    []byte
	cost       int
	prev, next *entry
}

const (
	entryCost  = 160     // bytes of an entry beside its payload and topic
	maxTopics  = 1 << 17 // that are known without a message being kept of them
	maxSenders = 1024    // that have left and are still known
)

func newHistory(l limits) *history {
	h := &history{limits: l, senders: map[uint64]*sender{}, topics: map[string]*topic{}}
	h.ends.prev, h.ends.next = &h.ends, &h.ends
	return h
}

// count numbers a message of the sender.
func (h *history) count(from uint64) (num uint64, had bool) {
	s := h.last
	if s == nil || h.lastID != from {
		s = h.sender(from)
		h.last, h.lastID = s, from
	}
	s.count++
	return s.count, s.count <= s.had
}

func (h *history) sender(id uint64) *sender {
	s := h.senders[id]
	if s == nil {
		s = &sender{}
		h.senders[id] = s
	}
	return s
}

// leave notes that a sender has gone. What is kept of it may still be asked for.
func (h *history) leave(id uint64) {
	s := h.senders[id]
	if s == nil {
		return
	}
	h.back(id)
	if s.count == 0 { // there is nothing to know of it
		delete(h.senders, id)
		return
	}
	if h.gone = append(h.gone, id); len(h.gone) > maxSenders {
		h.forget(h.gone[0])
		h.gone = h.gone[1:]
	}
}

// forget forgets a sender, but not what is kept of it: that bears when this was, so that a
// member that is back knows it for what it has had.
func (h *history) forget(id uint64) {
	delete(h.senders, id)
	h.last = nil
	h.forgot++
	for e := h.ends.next; e != &h.ends; e = e.next {
		if e.from == id && e.forgot == 0 {
			e.forgot = h.forgot
		}
	}
}

// join notes that a member has joined the group. If it had been forgotten, when it joined tells
// it apart from what it was: the first of its messages does not come at the same place everywhere.
func (h *history) join(id uint64) {
	if h.forgot > 0 && h.senders[id] == nil {
		h.senders[id] = &sender{born: h.forgot}
	}
	h.back(id)
}

// back notes that a sender is in the group, whether or not it has been before.
func (h *history) back(id uint64) {
	if i := slices.Index(h.gone, id); i >= 0 {
		h.gone = slices.Delete(h.gone, i, i+1)
	}
}

// topic returns the topic of this name; nil if it is none.
func (h *history) topic(name []byte) *topic {
	if t := h.topics[string(name)]; t != nil {
		return t
	}
	t := &topic{name: string(name)}
	if checkTopic(t.name) != nil {
		return nil
	}
	if h.each == 0 && len(h.topics) >= maxTopics {
		clear(h.topics)
	}
	h.topics[t.name] = t
	return t
}

// keep puts a message into the history, in the place of what is too much.
func (h *history) keep(t *topic, from, num uint64, l engine.Level, payload []byte) {
	if h.each == 0 {
		return
	}
	if len(t.kept) >= h.each {
		h.drop(t)
	}
	e := h.spare
	if h.spare = nil; e == nil {
		e = &entry{}
	}
	e.topic, e.from, e.num, e.forgot, e.level, e.payload = t, from, num, 0, l, append(e.payload[:0], payload...)
	e.cost = entryCost + len(t.name) + cap(e.payload)
	e.prev, e.next = h.ends.prev, &h.ends
	e.prev.next, e.next.prev = e, e
	t.kept = append(t.kept, e)
	for h.bytes += e.cost; h.bytes > h.limits.bytes; {
		old := h.ends.next.topic
		if h.drop(old); len(old.kept) == 0 {
			delete(h.topics, old.name)
		}
	}
}

// drop forgets the oldest message of a topic.
func (h *history) drop(t *topic) {
	e := t.kept[0]
	t.kept = slices.Delete(t.kept, 0, 1)
	e.prev.next, e.next.prev = e.next, e.prev
	h.bytes -= e.cost
	h.spare, e.topic = e, nil
}

// lastOf returns up to n of the last messages of each topic that matches, in the order in
// which they were delivered.
func (h *history) lastOf(pattern string, n int) (list []*entry) {
	if n == 0 {
		return nil
	}
	if checkTopic(pattern) == nil {
		if t := h.topics[pattern]; t != nil {
			list = t.kept[max(0, len(t.kept)-n):]
		}
		return list
	}
	want := map[*entry]bool{}
	for _, t := range h.topics {
		if matches(pattern, t.name) {
			for _, e := range t.kept[max(0, len(t.kept)-n):] {
				want[e] = true
			}
		}
	}
	for e := h.ends.next; e != &h.ends; e = e.next {
		if want[e] {
			list = append(list, e)
		}
	}
	return list
}

// succeed has h, which another member gave, take the place of old after an expulsion. It
// returns what this process has not had, and whether there was more that h does not have.
func (h *history) succeed(old *history) (news []*entry, gap bool) {
	if old.epoch == (epoch{}) {
		return nil, false
	}
	missed := map[uint64]uint64{}
	for id, s := range h.senders {
		if o := old.senders[id]; o != nil && h.epoch == old.epoch && s.born <= old.forgot { // else it had been forgotten, and has begun anew
			s.had = max(o.count, o.had)
		}
		missed[id] = s.count - min(s.count, s.had)
	}
	for e := h.ends.next; e != &h.ends; e = e.next {
		switch s := h.senders[e.from]; {
		case e.forgot > 0 || s == nil:
			if h.epoch != old.epoch || !old.had(e) {
				news = append(news, e)
			}
		case e.num > s.had:
			news = append(news, e)
			missed[e.from]--
		}
	}
	for _, k := range missed {
		gap = gap || k > 0
	}
	return news, gap || h.epoch != old.epoch
}

// had tells whether a member with this history has had e, whose sender is forgotten: it has
// all of one that it had forgotten too.
func (h *history) had(e *entry) bool {
	s := h.senders[e.from]
	return e.forgot <= h.forgot || s != nil && e.num <= max(s.count, s.had)
}
