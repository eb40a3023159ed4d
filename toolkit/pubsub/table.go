package pubsub

import (
	"bytes"
	"io"

	"cohort/engine"
)

// table is the protocol of one group at a member that subscribes: its history, and who
// in this process wants what.
type table struct {
	h    *history
	subs trie
	gen  uint64 // counts the changes of subs, from 1
}

func newTable(l limits) *table { return &table{h: newHistory(l), gen: 1} }

// deliver takes a message and returns who wants it; the payload of m is borrowed from b.
func (t *table) deliver(from uint64, l engine.Level, b []byte) (subs []*Sub, m Message) {
	num, had := t.h.count(from)
	name, payload, err := parseMessage(b)
	if err != nil {
		return nil, m // of another program
	}
	k := t.h.topic(name)
	if k == nil {
		return nil, m
	}
	t.h.keep(k, from, num, l, payload)
	if had {
		return nil, m
	}
	if k.gen != t.gen {
		k.subs, k.gen = t.subs.find(nil, k.name), t.gen // not in the old list's place: it may still be in use
	}
	return k.subs, Message{Topic: k.name, Level: l, From: from, Payload: payload}
}

// subscribe adds a subscription; the last messages of its topics come before what is
// delivered next.
func (t *table) subscribe(s *Sub, pattern string, last int) {
	t.subs.add(pattern, s)
	t.gen++
	for _, e := range t.h.lastOf(pattern, last) {
		s.queue.replay(e)
	}
}

func (t *table) unsubscribe(s *Sub, pattern string) {
	t.subs.remove(pattern, s)
	t.gen++
}

// view takes a view.
func (t *table) view(v engine.GroupView) {
	if v.Fresh && len(v.Members) > 0 {
		old := t.h
		t.h = newHistory(old.limits)
		t.h.epoch = epoch{v.Num, v.Members[0].ID}
		if old.epoch != (epoch{}) { // it has been expelled, and nobody knows any more what came meanwhile
			t.gap()
		}
	}
	for _, d := range v.Left {
		t.h.leave(d.ID)
	}
	for _, rank := range v.Joined {
		t.h.join(v.Members[rank].ID)
	}
}

func (t *table) gap() {
	for _, s := range t.subs.all(nil) {
		s.queue.gap()
	}
}

func (t *table) snapshot() io.ReadCloser { return io.NopCloser(bytes.NewReader(t.h.snapshot())) }

// restore takes the history that another member has, and gives the subscriptions what
// they have not had of it. An error leaves all as it was.
func (t *table) restore(r io.Reader) error {
	h, err := readHistory(r, t.h.limits)
	if err != nil {
		return err
	}
	news, gap := h.succeed(t.h)
	t.h = h
	if gap {
		t.gap()
	}
	for _, e := range news {
		for _, s := range t.subs.find(nil, e.topic.name) {
			s.queue.replay(e)
		}
	}
	return nil
}
