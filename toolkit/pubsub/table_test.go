package pubsub

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"cohort/engine"
	"cohort/membership"
)

// TestExpelledWithMore: what this process alone had when it was expelled, and what its
// sender sends to the next view again, does not come twice. (The simulator meets that in
// one run of a thousand.)
func TestExpelledWithMore(t *testing.T) {
	fresh := engine.GroupView{Num: 1, Fresh: true, Members: []membership.Member{{ID: 7}}}
	mine, others := newTable(limits{2, 1 << 20}), newTable(limits{2, 1 << 20})
	mine.view(fresh)
	others.view(fresh)
	s := &Sub{pattern: "a", queue: newQueue(Block, 10)}
	mine.subscribe(s, "a", 0)
	both := func(k int, tables ...*table) {
		for _, table := range tables {
			subs, m := table.deliver(7, engine.FIFO, appendMessage(nil, "a", fmt.Append(nil, k)))
			for _, s := range subs {
				s.queue.put(m)
			}
		}
	}
	both(1, mine, others)
	both(2, mine) // and then it is expelled
	if err := mine.restore(bytes.NewReader(others.h.snapshot())); err != nil {
		t.Fatal(err)
	}
	both(2, mine, others)
	both(3, mine, others)
	if got := drain(s.queue); !slices.Equal(got, []string{"a1", "a2", "a3"}) {
		t.Errorf("%v", got)
	}
	if !bytes.Equal(mine.h.snapshot(), others.h.snapshot()) {
		t.Error("the histories differ")
	}
}

// TestHistoryInBytes: the oldest messages go first, whatever their topics.
func TestHistoryInBytes(t *testing.T) {
	h := newHistory(limits{3, 4 * (entryCost + 2 + 64)})
	for k := range 10 {
		h.keep(h.topic(fmt.Append(nil, "t", k)), 1, uint64(k), engine.FIFO, make([]byte, 64))
	}
	var got []uint64
	for _, e := range h.lastOf(">", 3) {
		got = append(got, e.num)
	}
	if !slices.Equal(got, []uint64{6, 7, 8, 9}) || len(h.topics) != 4 || h.bytes > h.limits.bytes {
		t.Errorf("%v of %d topics in %d bytes", got, len(h.topics), h.bytes)
	}
}

// TestSendersAreForgotten: those who have left, the first first, when there are many.
func TestSendersAreForgotten(t *testing.T) {
	h := newHistory(limits{})
	for id := range uint64(2 * maxSenders) {
		h.count(id)
		h.leave(id)
	}
	if len(h.senders) != maxSenders || h.senders[maxSenders] == nil {
		t.Errorf("%d senders", len(h.senders))
	}
}

// TestSendersThatComeBackAreKept: a member of the group is not forgotten because it has
// left it before, however often, and however many others leave after it is back.
func TestSendersThatComeBackAreKept(t *testing.T) {
	tab := &table{h: newHistory(limits{})}
	back := membership.Member{ID: 7}
	tab.h.count(7)
	for range 3 {
		tab.view(engine.GroupView{Left: []engine.Departed{{Member: back}}})
		tab.view(engine.GroupView{Members: []membership.Member{{ID: 1}, back}, Joined: []int{1}})
	}
	for id := range uint64(2 * maxSenders) {
		tab.h.count(100 + id)
		tab.view(engine.GroupView{Left: []engine.Departed{{Member: membership.Member{ID: 100 + id}}}})
	}
	if num, _ := tab.h.count(7); num != 2 {
		t.Errorf("its second message has the number %d", num)
	}
	tab.view(engine.GroupView{Left: []engine.Departed{{Member: back}}})
	tab.view(engine.GroupView{Left: []engine.Departed{{Member: back}}})
	if n := len(tab.h.gone); n != maxSenders {
		t.Errorf("%d have gone, want %d", n, maxSenders)
	}
	if tab.h.senders[7] == nil {
		t.Error("who left last is forgotten")
	}
}

// send has tables deliver a message, and puts it into the queues of who subscribed.
func send(from uint64, topic string, tables ...*table) {
	for _, table := range tables {
		subs, m := table.deliver(from, engine.FIFO, appendMessage(nil, topic, nil))
		for _, s := range subs {
			s.queue.put(m)
		}
	}
}

// TestForgottenSenderIsBack: a sender that was forgotten while this process was expelled, and then
// joined again, counts from 1 again. None of that has come here.
func TestForgottenSenderIsBack(t *testing.T) {
	l := limits{1, 1 << 20}
	mine, others := newTable(l), newTable(l)
	member := func(id uint64) membership.Member { return membership.Member{ID: id} }
	for _, table := range []*table{mine, others} {
		table.view(engine.GroupView{Num: 1, Fresh: true, Members: []membership.Member{member(7), member(3)}})
	}
	s := &Sub{queue: newQueue(Block, 10)}
	mine.subscribe(s, "keep.*", 0)
	for _, topic := range []string{"keep.a", "keep.b", "keep.c"} {
		send(3, topic, mine, others)
	}
	others.view(engine.GroupView{Left: []engine.Departed{{Member: member(3)}}})
	for id := range uint64(maxSenders) {
		send(100+id, "other", others)
		others.view(engine.GroupView{Left: []engine.Departed{{Member: member(100 + id)}}})
	}
	others.view(engine.GroupView{Members: []membership.Member{member(7), member(3)}, Joined: []int{1}})
	send(3, "keep.d", others)
	if err := mine.restore(bytes.NewReader(others.h.snapshot())); err != nil {
		t.Fatal(err)
	}
	send(3, "keep.e", mine, others)
	if got := drain(s.queue); !slices.Equal(got, []string{"keep.a", "keep.b", "keep.c", "keep.d", "keep.e"}) {
		t.Errorf("%v", got)
	}
	if !bytes.Equal(mine.h.snapshot(), others.h.snapshot()) {
		t.Error("the histories differ")
	}
}

// TestForgottenSenders: what is kept of a sender that has been forgotten comes to who is
// back after an expulsion if it is new there, and not again if it is not.
func TestForgottenSenders(t *testing.T) {
	l := limits{1, 1 << 20}
	mine, others := newTable(l), newTable(l)
	send := func(from uint64, topic string, tables ...*table) {
		send(from, topic, tables...)
		for _, table := range tables {
			table.view(engine.GroupView{Left: []engine.Departed{{Member: membership.Member{ID: from}}}})
		}
	}
	for _, table := range []*table{mine, others} {
		table.view(engine.GroupView{Num: 1, Fresh: true, Members: []membership.Member{{ID: 7}}})
	}
	s := &Sub{queue: newQueue(Block, 10)}
	mine.subscribe(s, "keep.*", 0)
	send(1, "keep.forgotten", mine, others)
	for id := range uint64(maxSenders) {
		send(100+id, "other", mine, others)
	}
	back := func() {
		if err := mine.restore(bytes.NewReader(others.h.snapshot())); err != nil {
			t.Fatal(err)
		}
	}
	back()
	if n := s.queue.stats.Gaps; n > 0 {
		t.Errorf("%d gaps, and nothing was sent", n)
	}
	send(2, "keep.known", mine, others)
	for range 2 { // it is expelled twice, for long
		send(3, "keep.new", others)
		for id := range uint64(maxSenders) {
			send(10_000+id, "other", others)
		}
		back()
	}
	if got := drain(s.queue); !slices.Equal(got, []string{"keep.forgotten", "keep.known", "keep.new", "keep.new"}) {
		t.Errorf("%v", got)
	}
	if !bytes.Equal(mine.h.snapshot(), others.h.snapshot()) {
		t.Error("the histories differ")
	}
}

// TestTopicsAreForgotten: names alone take no memory without bound.
func TestTopicsAreForgotten(t *testing.T) {
	h := newHistory(limits{})
	for k := range maxTopics + 10 {
		h.topic(fmt.Append(nil, k))
	}
	if len(h.topics) != 10 {
		t.Errorf("%d topics are known", len(h.topics))
	}
}
