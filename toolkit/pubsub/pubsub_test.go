package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

func TestSubscriptions(t *testing.T) {
	b := joinAll(t, testring.Open(t, 3, testring.Timeout), Config{Groups: 4})
	_, exact := subscribe(t, b[0], "md.eu.sap", Options{})
	_, star := subscribe(t, b[1], "md.*.sap", Options{})
	_, rest := subscribe(t, b[1], "md.>", Options{})
	_, all := subscribe(t, b[2], ">", Options{})
	for k, topic := range []string{"md.eu.sap", "md.us.sap", "md.eu.bmw", "other"} {
		publish(t, b[0], topic, engine.Total, fmt.Sprint(k))
	}
	for _, c := range []struct {
		name string
		l    *list
		want []string
	}{
		{"md.eu.sap", exact, []string{"md.eu.sap=0"}},
		{"md.*.sap", star, []string{"md.eu.sap=0", "md.us.sap=1"}},
		{"md.>", rest, []string{"md.eu.sap=0", "md.us.sap=1", "md.eu.bmw=2"}},
		{">", all, []string{"md.eu.bmw=2", "md.eu.sap=0", "md.us.sap=1", "other=3"}},
	} {
		testring.Eventually(t, c.name, func() bool { return len(c.l.now()) == len(c.want) })
		got := c.l.now()
		if c.name == ">" { // there is no order among groups
			slices.Sort(got)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestRoles: a process is in the groups that it needs, as what it needs, and no longer.
func TestRoles(t *testing.T) {
	b := joinAll(t, testring.Open(t, 2, testring.Timeout), Config{Groups: 8})
	roles := func(b *Broker) (count [3]int) {
		for _, g := range b.groups {
			count[g.role]++
		}
		return count
	}
	publish(t, b[0], "a.b", engine.FIFO, "nobody")
	if got := roles(b[0]); got != [3]int{7, 1, 0} {
		t.Errorf("a publisher is in %v", got)
	}
	s, l := subscribe(t, b[0], "a.*", Options{})
	if got := roles(b[0]); got != [3]int{7, 0, 1} {
		t.Errorf("once it has subscribed, in %v", got)
	}
	publish(t, b[1], "a.b", engine.FIFO, "x")
	testring.Eventually(t, "x", func() bool { return len(l.now()) == 1 })
	if err := s.Close(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if got := roles(b[0]); got != [3]int{8, 0, 0} {
		t.Errorf("after its end, in %v", got)
	}
	if err := b[0].Leave(testring.Patient(t)); err != nil {
		t.Error(err)
	}
	if err := b[0].Publish(testring.Patient(t), "a.b", engine.FIFO, nil); !errors.Is(err, engine.ErrNotMember) {
		t.Error(err)
	}
}

// TestOrderAcrossRoles: one who subscribes while it publishes loses and reorders nothing.
func TestOrderAcrossRoles(t *testing.T) {
	b := joinAll(t, testring.Open(t, 2, testring.Timeout), Config{})
	_, l := subscribe(t, b[1], "a", Options{})
	const many = 2000
	var wg sync.WaitGroup
	wg.Go(func() {
		for k := range many {
			publish(t, b[0], "a", engine.FIFO, fmt.Sprint(k))
		}
	})
	for range 5 {
		s, _ := subscribe(t, b[0], "a", Options{})
		if err := s.Close(testring.Patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	testring.Eventually(t, "all", func() bool { return len(l.now()) >= many })
	for k, s := range l.now() {
		if s != fmt.Sprint("a=", k) {
			t.Fatalf("message %d is %s", k, s)
		}
	}
}

// TestLate: one who subscribes late gets the last messages, and what follows, without
// gap or duplicate, though they are being published; from one who has joined for that.
func TestLate(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	b := joinAll(t, nodes[:2], Config{History: 10, Groups: 4})
	joinAll(t, nodes[2:], Config{History: 10, Groups: 4, Keep: true})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for k := 0; ctx.Err() == nil; k++ {
			publish(t, b[0], fmt.Sprint("md.", k%2), engine.Total, fmt.Sprint(k/2))
		}
	})
	time.Sleep(20 * time.Millisecond)
	for range 5 {
		s, l := subscribe(t, b[1], "md.*", Options{Last: 3})
		testring.Eventually(t, "much", func() bool { return len(l.now()) > 200 })
		if err := s.Close(testring.Patient(t)); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		judgeLate(t, l.now())
	}
	stop()
	wg.Wait()
}

func judgeLate(t *testing.T, got []string) {
	t.Helper()
	next, retained := map[string]int{}, 0
	for _, s := range got {
		if strings.HasSuffix(s, "!") {
			retained++
		}
		topic, num, _ := strings.Cut(strings.TrimSuffix(s, "!"), "=")
		var k int
		if _, err := fmt.Sscan(num, &k); err != nil {
			t.Fatal(err)
		}
		if n, ok := next[topic]; ok && n != k {
			t.Fatalf("%s is %d after %d", topic, k, n-1)
		}
		next[topic] = k + 1
	}
	if retained != 6 || len(next) != 2 {
		t.Errorf("%d retained messages of %d topics, want 3 of each of 2", retained, len(next))
	}
}

// TestLevels: what a rule declares is held to.
func TestLevels(t *testing.T) {
	b := joinAll(t, testring.Open(t, 1, testring.Timeout), Config{Rules: []Rule{{"orders.>", engine.Total.Safe()}}})[0]
	_, l := subscribe(t, b, ">", Options{})
	err := b.Publish(testring.Patient(t), "orders.1", engine.FIFO, nil)
	if !errors.Is(err, engine.ErrLevel) || !strings.Contains(err.Error(), "want safe-abcast") {
		t.Errorf("%v", err)
	}
	publish(t, b, "orders.1", engine.Total.Safe(), "x")
	testring.Eventually(t, "x", func() bool { return slices.Equal(l.now(), []string{"orders.1=x"}) })
}

// TestRulesAreCopied: the caller may use its slice for something else afterwards.
func TestRulesAreCopied(t *testing.T) {
	rules := []Rule{{"orders.>", engine.Total}}
	b := joinAll(t, testring.Open(t, 1, testring.Timeout), Config{Rules: rules})[0]
	rules[0] = Rule{"orders.>", engine.FIFO}
	if err := b.Publish(testring.Patient(t), "orders.1", engine.Total, nil); err != nil {
		t.Errorf("%v, want the rule as it was at Join", err)
	}
}

func TestBadConfig(t *testing.T) {
	n := testring.Open(t, 1, testring.Timeout)[0]
	for _, c := range []Config{
		{Groups: -1}, {Groups: maxGroups + 1}, {Prefix: -1}, {History: -1}, {HistoryBytes: -1}, {Name: strings.Repeat("x", 65)},
		{Rules: []Rule{{"a.", engine.FIFO}}}, {Rules: []Rule{{"a", 77}}},
	} {
		if _, err := Join(testring.Patient(t), n, c); !errors.Is(err, engine.ErrConfig) && !errors.Is(err, engine.ErrLevel) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	b := joinAll(t, []*engine.Node{n}, Config{History: 1})[0]
	for _, o := range []Options{{Last: 2}, {Last: -1}, {Queue: -1}, {Policy: 3}, {Policy: -1}} {
		if _, err := b.Subscribe(testring.Patient(t), "a", o, func(*Message) {}); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := b.Subscribe(testring.Patient(t), "a..b", Options{}, func(*Message) {}); !errors.Is(err, engine.ErrConfig) {
		t.Error(err)
	}
	if err := b.Publish(testring.Patient(t), "a.*", engine.FIFO, nil); !errors.Is(err, engine.ErrConfig) {
		t.Error(err)
	}
}

// TestBlockReachesThePublisher: a subscription that blocks makes publishers wait, and
// loses nothing.
func TestBlockReachesThePublisher(t *testing.T) {
	b := joinAll(t, testring.Open(t, 2, testring.Timeout), Config{})
	l := &list{gate: make(chan struct{})}
	open := sync.OnceFunc(func() { close(l.gate) })
	t.Cleanup(open) // a failed test must not hang in Close
	if _, err := b[1].Subscribe(testring.Patient(t), "a", Options{Queue: 10}, l.add); err != nil {
		t.Fatal(err)
	}
	payload := strings.Repeat("x", 64<<10)
	sent := 0
	for ; ; sent++ {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		err := b[0].Publish(ctx, "a", engine.FIFO, []byte(payload))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil || sent > 20_000 {
			t.Fatalf("after %d messages: %v", sent, err)
		}
	}
	t.Logf("waited after %d MiB", sent*64>>10)
	open()
	testring.Eventually(t, "all", func() bool { return len(l.now()) == sent })
}

// TestNodeEnds: subscriptions end with their node, and those of others go on.
func TestNodeEnds(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	b := joinAll(t, nodes, Config{})
	s, _ := subscribe(t, b[0], "a", Options{})
	_, l := subscribe(t, b[1], "a", Options{})
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	publish(t, b[2], "a", engine.Total, "x")
	testring.Eventually(t, "x", func() bool { return len(l.now()) == 1 })
	if err := b[0].Publish(testring.Patient(t), "a", engine.Total, nil); !errors.Is(err, engine.ErrClosed) {
		t.Error(err)
	}
}

// TestCloseDelivers: a node that is closed delivers what was published before, to a
// function that is slow and closes it too.
func TestCloseDelivers(t *testing.T) {
	n := testring.Open(t, 1, testring.Timeout)[0]
	b := joinAll(t, []*engine.Node{n}, Config{})[0]
	var got int
	s, err := b.Subscribe(testring.Patient(t), "a", Options{Queue: 10}, func(*Message) {
		if got++; got == 5 {
			_ = n.Close()
		}
		time.Sleep(10 * time.Microsecond)
	})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for ; sent < 1000; sent++ {
		if err := b.Publish(testring.Patient(t), "a", engine.FIFO, nil); errors.Is(err, engine.ErrClosed) {
			break
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	<-s.Done()
	if got != sent {
		t.Errorf("%d messages of %d", got, sent)
	}
}

// TestFailure: the failure of a publisher that keeps the history too loses no more than
// it had not sent, and one who subscribes after it has the history from the others.
func TestFailure(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	b := joinAll(t, nodes, Config{History: 5})
	_, l := subscribe(t, b[1], "a", Options{})
	subscribe(t, b[0], "a", Options{})
	for k := range 100 {
		publish(t, b[0], "a", engine.Total.Safe(), fmt.Sprint(k))
	}
	testring.Eventually(t, "all", func() bool { return len(l.now()) == 100 })
	_ = nodes[0].Abandon()
	publish(t, b[2], "a", engine.Total.Safe(), "100")
	testring.Eventually(t, "what another publishes", func() bool { return len(l.now()) == 101 })
	_, late := subscribe(t, b[2], "a", Options{Last: 5})
	testring.Eventually(t, "the history", func() bool { return len(late.now()) == 5 })
	if got := late.now(); !slices.Equal(got, []string{"a=96!", "a=97!", "a=98!", "a=99!", "a=100!"}) {
		t.Errorf("late: %v", got)
	}
}

// TestNoAllocationsPerMessage counts those of the whole process, which publishes and has
// a subscription of each policy, and a history.
func TestNoAllocationsPerMessage(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	b := joinAll(t, testring.Open(t, 2, testring.Timeout), Config{History: 2})
	var got [3]atomic.Int64
	for _, p := range []Policy{Block, DropOldest, Conflate} {
		if _, err := b[1].Subscribe(testring.Patient(t), "md.>", Options{Policy: p}, func(*Message) { got[p].Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	var topics []string
	for k := range 100 {
		topics = append(topics, fmt.Sprint("md.eu.", k))
	}
	ctx, payload, total := testring.Patient(t), make([]byte, 64), 0
	send := func(n int) {
		for k := range n {
			if err := b[0].Publish(ctx, topics[k%len(topics)], engine.FIFO, payload); err != nil {
				t.Fatal(err)
			}
		}
		total += n
		testring.Eventually(t, "delivery", func() bool { return got[Block].Load() == int64(total) })
	}
	const many = 100_000
	send(many / 2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	send(many)
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / many; per >= 0.01 {
		t.Errorf("%.3f allocations per message, want less than 0.01", per)
	}
}
