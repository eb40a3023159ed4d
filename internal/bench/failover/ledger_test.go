package failover

import (
	"errors"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/membership"
)

func chained(t *testing.T, messages ...string) Chain {
	t.Helper()
	c := Chain{Last: map[string]uint64{}}
	for _, from := range messages {
		if err := c.add(from, c.Last[from]+1); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestChain(t *testing.T) {
	a, b := chained(t, "x", "y", "x"), chained(t, "x", "x", "y")
	if a.Hash == b.Hash || a.Count != b.Count {
		t.Errorf("two orders of the same messages: %+v, %+v", a, b)
	}
	if again := chained(t, "x", "y", "x"); again.Hash != a.Hash {
		t.Errorf("the same order twice: %x, %x", again.Hash, a.Hash)
	}
	for _, seq := range []uint64{1, 2, 4} { // the last of x was 2
		c := chained(t, "x", "y", "x")
		if err := c.add("x", seq); err == nil {
			t.Errorf("message %d after 2 is no error", seq)
		}
	}
	if err := a.add("z", 17); err != nil {
		t.Errorf("the first message of a sender: %v", err)
	}
}

// TestStateIsTheChain: who joins has the chain of the others, whatever the size.
func TestStateIsTheChain(t *testing.T) {
	for _, size := range []int64{0, 1 << 20} {
		from, to := newLedger(size), newLedger(size)
		from.chain = chained(t, "x", "y", "x")
		r, err := from.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Restore(r); err != nil {
			t.Fatal(err)
		}
		if a, b := from.chain, to.chain; a.Hash != b.Hash || a.Count != b.Count || b.Last["x"] != 2 {
			t.Errorf("state of %d bytes: %+v became %+v", size, a, b)
		}
	}
	if err := newLedger(0).Restore(strings.NewReader("\x02\x00\x00\x00{}")); err == nil {
		t.Error("a state without senders was restored")
	}
}

// TestWhoLeftBeginsAnew: what an expelled member sent last may be lost.
func TestWhoLeftBeginsAnew(t *testing.T) {
	l := newLedger(0)
	l.chain = chained(t, "x", "x")
	l.View(engine.GroupView{Left: []engine.Departed{{Member: membership.Member{Name: "x"}}}})
	if err := l.chain.add("x", 5); err != nil {
		t.Error(err)
	}
}

func tally(rank int, sent uint64, c Chain) Reply {
	return Reply{Tally: &Tally{Rank: rank, Sent: sent, Chain: c}}
}

func TestBreachesAreFound(t *testing.T) {
	r := &ring{members: []*subject{{name: "a"}, {name: "b"}}}
	good := func() []Reply {
		c := chained(t, "a", "b", "a")
		return []Reply{tally(1, 2, c), tally(0, 1, c)}
	}
	if err := errors.Join(r.missing(good()), r.compare(good()), r.order(good())); err != nil {
		t.Fatal(err)
	}
	if r.members[0].name != "b" {
		t.Error("members are not in the order of their ranks")
	}
	r.members[0], r.members[1] = r.members[1], r.members[0]

	late := good()
	late[1].Tally.Chain = chained(t, "a", "b")
	if err := r.missing(late); err == nil || !strings.Contains(err.Error(), "b has delivered message 1 of a last, which has sent 2") {
		t.Errorf("a message that is missing: %v", err)
	}
	other := good()
	other[1].Tally.Chain = chained(t, "a", "a", "b")
	if err := r.compare(other); r.missing(other) != nil || err == nil || !strings.Contains(err.Error(), "order breached: a has delivered 3 messages") {
		t.Errorf("two orders: %v", err)
	}
	twice := good()
	twice[0].Tally.Rank = 0
	if err := r.order(twice); err == nil {
		t.Error("one rank of two members is no error")
	}
}

func TestSummarize(t *testing.T) {
	a := Reply{Measured: &Measured{Gap: 1, View: 2, Recovered: 3}}
	if got := summarize([]Reply{a, a}); len(got.Gap) != 2 || got.View[1] != 2 || got.Recovered[0] != 3 {
		t.Errorf("%+v", got)
	}
	if got := summarize([]Reply{a, {Measured: &Measured{Gap: 1}}}); got.Recovered != nil {
		t.Errorf("not all have recovered, but %+v", got)
	}
}
