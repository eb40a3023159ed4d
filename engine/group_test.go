package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// timeline is a handler that notes views and total-order messages in the order
// in which they come.
type timeline struct {
	mu     sync.Mutex
	events []string
}

func (l *timeline) add(e string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *timeline) Deliver(m *Message) { l.add(fmt.Sprintf("message %d:%s", m.Sender, m.Payload)) }

func (l *timeline) View(v GroupView) {
	l.add("view " + describe(v))
}

// describe puts a view in a line, members by name.
func describe(v GroupView) string {
	var names, joined, left []string
	for _, m := range v.Members {
		names = append(names, m.Name)
	}
	for _, r := range v.Joined {
		joined = append(joined, names[r])
	}
	for _, m := range v.Left {
		left = append(left, fmt.Sprint(m.Name, " ", m.Reason))
	}
	s := fmt.Sprintf("%d of %s: %v, joined %v, left %v", v.Num, v.Group, names, joined, left)
	for what, is := range map[string]bool{", blocked": v.Blocked, ", expelled": v.Expelled, ", fresh": v.Fresh} {
		if is {
			s += what
		}
	}
	return s
}

func (l *timeline) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

func (l *timeline) has(e string) bool { return slices.Contains(l.list(), e) }

// TestViewsInOneOrder joins and leaves at several members at once, while they
// send, and compares what they saw with what the member saw that was there all
// the time.
func TestViewsInOneOrder(t *testing.T) {
	nodes := openRing(t, 3, nil)
	ctx := patient(t)
	whole := &timeline{}
	constant, err := nodes[0].Join(ctx, "views", whole)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var parts [][]string // what was seen between a Join and its Leave
	var wg sync.WaitGroup
	for i, n := range nodes[1:] {
		wg.Go(func() {
			for round := range 15 {
				part := &timeline{}
				var h Handler = part
				if round%2 == 1 {
					h = Queued(part, 0)
				}
				g, err := n.Join(ctx, "views", h)
				if err != nil {
					t.Error(err)
					return
				}
				for k := range 10 {
					if err := g.Send(ctx, Total, fmt.Appendf(nil, "%d.%d.%d", i, round, k)); err != nil {
						t.Error(err)
					}
					if err := constant.Send(ctx, Total, fmt.Appendf(nil, "constant %d.%d.%d", i, round, k)); err != nil {
						t.Error(err)
					}
				}
				if err := g.Leave(ctx); err != nil {
					t.Error(err)
				}
				mu.Lock()
				parts = append(parts, part.list())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := constant.Send(ctx, Total, []byte("end")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool {
		return whole.has("message 0:end")
	})
	all := whole.list()
	if views := 1 + 2*2*15; !strings.HasPrefix(last(all, "view"), fmt.Sprintf("view %d ", views)) {
		t.Errorf("the last view is %q, want number %d", last(all, "view"), views)
	}
	for _, part := range parts {
		from := slices.Index(all, part[0])
		if from < 0 || from+len(part) > len(all) || !slices.Equal(all[from:from+len(part)], part) {
			t.Fatalf("a member saw\n%s\nand the one that was always there\n%s", strings.Join(part, "\n"), strings.Join(all, "\n"))
		}
		if !strings.HasPrefix(part[0], "view") || !strings.HasPrefix(part[len(part)-1], "view") {
			t.Errorf("saw %q first and %q last, want views", part[0], part[len(part)-1])
		}
	}
}

func last(list []string, prefix string) string {
	for i := len(list) - 1; i >= 0; i-- {
		if strings.HasPrefix(list[i], prefix) {
			return list[i]
		}
	}
	return ""
}

// TestNilHandlers are refused when the group is joined, not met when a message comes.
func TestNilHandlers(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	for what, h := range map[string]Handler{
		"nil": nil, "a nil function": HandlerFunc(nil), "a queued nil": Queued(nil, 0), "a queued nil function": Queued(HandlerFunc(nil), 0),
	} {
		if _, err := n.Join(patient(t), "g", h); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), `"g"`) {
			t.Errorf("%s: %v, want ErrConfig and the group's name", what, err)
		}
	}
	if _, err := n.Join(patient(t), "g", Queued(HandlerFunc(func(*Message) {}), 0)); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestRankIsByAgeInTheGroup, which the rank in the ring is not: who joins a group is
// its last member, however long it has been in the ring. So its first one stays that.
func TestRankIsByAgeInTheGroup(t *testing.T) {
	nodes := openRing(t, 3, nil)
	slices.SortFunc(nodes, func(a, b *Node) int { return b.Rank() - a.Rank() })
	ctx := patient(t)
	all := make([]*timeline, 3)
	groups := make([]*Group, 3)
	join := func(i int) {
		t.Helper()
		var err error
		all[i] = &timeline{}
		if groups[i], err = nodes[i].Join(ctx, "age", all[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range nodes {
		join(i)
	}
	if err := groups[1].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	join(1)
	for i := range nodes {
		if err := groups[i].Send(ctx, Total, []byte(nodes[i].cfg.Name)); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{nodes[0].cfg.Name, nodes[2].cfg.Name, nodes[1].cfg.Name}
	for i, n := range nodes {
		if n.Self().Name != n.cfg.Name {
			t.Errorf("%s is %s by its own account", n.cfg.Name, n.Self().Name)
		}
		view := fmt.Sprintf("view 5 of age: %v, joined [%s], left []", names, names[2])
		eventually(t, view, func() bool { return all[i].has(view) })
		for rank, name := range names {
			message := fmt.Sprintf("message %d:%s", rank, name)
			eventually(t, message, func() bool { return all[i].has(message) })
		}
	}
	extra := &timeline{} // of a node that is told of the order, for it has not seen it come about
	late := open(t, nodes[0].cfg.Cluster, "late", nil)
	if _, err := late.Join(ctx, "age", extra); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("view 6 of age: %v, joined [late], left []", append(names, "late")); !extra.has(want) {
		t.Errorf("a node that came later saw %q, want %q", extra.list(), want)
	}
}

// greeter sends as soon as all are in the group, and counts what it gets.
type greeter struct {
	all  int
	full chan struct{} // closed then
	got  atomic.Int64
}

func (g *greeter) Deliver(*Message) { g.got.Add(1) }

func (g *greeter) View(v GroupView) {
	if len(v.Members) == g.all {
		close(g.full)
	}
}

// TestWhoIsInTheViewGetsWhatFollowsIt: a message of any level that is sent after
// a view reaches all members of that view, also one that is still joining, to
// which the message may come before the news that it has joined.
func TestWhoIsInTheViewGetsWhatFollowsIt(t *testing.T) {
	nodes := openRing(t, 3, nil)
	for round := range scaled(200) {
		ctx := patient(t)
		var all [3]*greeter
		var wg sync.WaitGroup
		for i, n := range nodes {
			all[i] = &greeter{all: len(nodes), full: make(chan struct{})}
			wg.Go(func() {
				g, err := n.Join(ctx, fmt.Sprint("round", round), all[i])
				if err != nil {
					t.Error(err)
					return
				}
				<-all[i].full
				if err := g.Send(ctx, allLevels[round%len(allLevels)], nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i, g := range all {
			eventually(t, fmt.Sprintf("round %d: member %d has all three messages", round, i), func() bool { return g.got.Load() == 3 })
		}
	}
}

// TestJoinGivesUp lets many contexts end just when the join is done: each Join
// must either succeed or leave nothing behind.
func TestJoinGivesUp(t *testing.T) {
	nodes := openRing(t, 2, nil)
	var failed, joined int
	for k := range 400 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Int64N(400_000)))
		g, err := nodes[1].Join(ctx, "hasty", Queued(HandlerFunc(func(*Message) {}), 0))
		cancel()
		switch {
		case err == nil:
			joined++
			if err := g.Leave(patient(t)); err != nil {
				t.Fatal(err)
			}
		case !errors.Is(err, context.DeadlineExceeded):
			t.Fatalf("join %d: %v", k, err)
		default:
			failed++
		}
	}
	t.Logf("%d joined, %d gave up", joined, failed)
	var got atomic.Int64
	g, err := nodes[1].Join(patient(t), "hasty", HandlerFunc(func(*Message) { got.Add(1) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Send(patient(t), Total, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "delivery", func() bool { return got.Load() == 1 })
}

func TestJoinRefuses(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	h := HandlerFunc(func(*Message) {})
	if _, err := n.Join(patient(t), "taken", h); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		h    Handler
		want string
	}{
		{"", h, "0 bytes"},
		{strings.Repeat("x", MaxGroupName+1), h, "256 bytes"},
		{"nobody", nil, "nil"},
		{"taken", h, `"taken"`},
	} {
		_, err := n.Join(patient(t), c.name, c.h)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("group %.10q: %v, want ErrConfig that names %s", c.name, err, c.want)
		}
	}
}

func TestLeaveTwice(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	g := joinAll(t, []*Node{n}, "left", func(int) Handler { return HandlerFunc(func(*Message) {}) })[0]
	if err := g.Leave(patient(t)); err != nil {
		t.Fatal(err)
	}
	_, asked := g.Ask(patient(t), FIFO, nil, All)
	for what, err := range map[string]error{
		"Leave": g.Leave(patient(t)), "Send": g.Send(patient(t), FIFO, nil), "TrySend": g.TrySend(FIFO, nil), "Ask": asked,
	} {
		if !errors.Is(err, ErrNotMember) || !strings.Contains(err.Error(), "left") {
			t.Errorf("%s after Leave: %v, want ErrNotMember with the group's name", what, err)
		}
	}
}

// TestNoMessagesAfterLeave: not from a queue either.
func TestNoMessagesAfterLeave(t *testing.T) {
	nodes := openRing(t, 1, nil)
	for name, wrap := range map[string]func(Handler) Handler{
		"inline": func(h Handler) Handler { return h },
		"queued": func(h Handler) Handler { return Queued(h, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			var left atomic.Bool
			g := joinAll(t, nodes, name, func(int) Handler {
				return wrap(HandlerFunc(func(*Message) {
					time.Sleep(2 * time.Millisecond)
					if left.Load() {
						t.Error("delivered after Leave")
					}
				}))
			})[0]
			for range 20 {
				if err := g.Send(patient(t), FIFO, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := g.Leave(patient(t)); err != nil {
				t.Fatal(err)
			}
			left.Store(true)
			time.Sleep(20 * time.Millisecond)
		})
	}
}

// TestGroupsKeepApart: members of one group get nothing of another.
func TestGroupsKeepApart(t *testing.T) {
	nodes := openRing(t, 2, nil)
	var seqs [2][2]sequence
	var groups [2][]*Group
	for k := range groups {
		groups[k] = joinAll(t, nodes, fmt.Sprint("group", k), func(i int) Handler { seqs[k][i].t = t; return &seqs[k][i] })
	}
	const many = 1000
	for n := range many {
		for k := range groups {
			if err := groups[k][k].Send(patient(t), Causal, numbered(n, 8)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for k := range groups {
		for i := range nodes {
			eventually(t, "all delivered", func() bool { return seqs[k][i].next.Load() == many })
		}
	}
}

// TestClustersKeepApart puts two rings on one multicast address.
func TestClustersKeepApart(t *testing.T) {
	group := netip.MustParseAddrPort(fmt.Sprintf("239.255.77.%d:%d", 1+rand.N(250), 20000+rand.N(9000)))
	same := func(_ int, c *Config) { c.Group = group }
	var seqs [2][2]sequence
	var rings [2][]*Node
	var groups [2]*Group
	for k := range rings {
		rings[k] = openRing(t, 2, same)
		groups[k] = joinAll(t, rings[k], "same", func(i int) Handler { seqs[k][i].t = t; return &seqs[k][i] })[k]
	}
	const many = 1000
	for n := range many {
		for k, g := range groups {
			if err := g.Send(patient(t), Total, numbered(n, 100)); err != nil {
				t.Fatal(k, err)
			}
		}
	}
	for k := range rings {
		for i, n := range rings[k] {
			eventually(t, "all delivered", func() bool { return seqs[k][i].next.Load() == many })
			eventually(t, "the other ring heard and ignored", func() bool { return n.Stats().OtherCluster > 0 })
		}
	}
}
