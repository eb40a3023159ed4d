package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestJoinAllAndLeaveAll: the groups come in the order of their names, each with its
// handler, at every member; and all of them go.
func TestJoinAllAndLeaveAll(t *testing.T) {
	nodes := openRing(t, 3, nil)
	names := manyNames(2000)
	var got [3]atomic.Int64
	lists := joinMany(t, nodes, names, func(i int) Handler {
		return HandlerFunc(func(m *Message) {
			if m.Group().Name() != string(m.Payload) {
				t.Errorf("%s came in %s", m.Payload, m.Group().Name())
			}
			got[i].Add(1)
		})
	})
	for k, g := range lists[0] {
		if g.Name() != names[k] {
			t.Fatalf("group %d is %q, want %q", k, g.Name(), names[k])
		}
		if err := g.Send(patient(t), allLevels[k%len(allLevels)], []byte(names[k])); err != nil {
			t.Fatal(err)
		}
	}
	for i := range got {
		eventually(t, "a message in each group", func() bool { return got[i].Load() == int64(len(names)) })
	}
	for i, n := range nodes {
		if err := n.LeaveAll(patient(t), lists[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		eventually(t, "no group left", func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.roster.Table.Len() == 0 && len(n.groups.own()) == 0
		})
	}
	if again, err := nodes[0].JoinAll(patient(t), names[:2], func(string) Handler { return HandlerFunc(func(*Message) {}) }); err != nil || len(again) != 2 {
		t.Errorf("joining again: %d groups, %v", len(again), err)
	}
}

// TestJoinAllOrNone: where one group cannot be joined, none is.
func TestJoinAllOrNone(t *testing.T) {
	h := HandlerFunc(func(*Message) {})
	for _, queued := range []bool{false, true} {
		handler := func(string) Handler {
			if queued {
				return Queued(h, 0)
			}
			return h
		}
		for what, c := range map[string]struct {
			names   []string
			handler func(string) Handler
			ctx     func() context.Context
			want    error
			says    string
		}{
			"a name twice": {[]string{"a", "b", "a"}, handler, nil, ErrConfig, `"a"`},
			"one is taken": {[]string{"a", "taken"}, handler, nil, ErrConfig, `"taken"`},
			"no name":      {[]string{"a", ""}, handler, nil, ErrConfig, "0 bytes"},
			"no handler":   {[]string{"a"}, func(string) Handler { return nil }, nil, ErrConfig, "nil"},
			"no time": {manyNames(300), handler, func() context.Context {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				return ctx
			}, context.Canceled, "joining"},
		} {
			t.Run(fmt.Sprint(what, " queued ", queued), func(t *testing.T) {
				nodes := openRing(t, 2, nil)
				n := nodes[0]
				if _, err := n.Join(patient(t), "taken", h); err != nil {
					t.Fatal(err)
				}
				ctx := patient(t)
				if c.ctx != nil {
					ctx = c.ctx()
				}
				list, err := n.JoinAll(ctx, c.names, c.handler)
				if len(list) != 0 || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%d groups and %v, want %v that says %s", len(list), err, c.want, c.says)
				}
				for _, n := range nodes {
					eventually(t, "only the other group", func() bool {
						n.mu.Lock()
						defer n.mu.Unlock()
						all := n.roster.Table.All()
						return len(all) == 1 && all[0].Name == "taken" && len(n.groups.own()) <= 1
					})
				}
			})
		}
	}
}

// TestLeaveAllThatCan: one that has been left is an error, and the others are left.
func TestLeaveAllThatCan(t *testing.T) {
	nodes := openRing(t, 2, nil)
	list := joinMany(t, nodes, []string{"a", "b", "c"}, func(int) Handler { return Queued(HandlerFunc(func(*Message) {}), 0) })[0]
	other, err := nodes[1].Join(patient(t), "other", HandlerFunc(func(*Message) {}))
	if err != nil {
		t.Fatal(err)
	}
	if err := list[1].Leave(patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].LeaveAll(patient(t), list); !errors.Is(err, ErrNotMember) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("%v, want ErrNotMember for b", err)
	}
	if err := nodes[0].LeaveAll(patient(t), []*Group{other}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("%v, want ErrConfig for another node's group", err)
	}
	eventually(t, "the groups without it", func() bool {
		return !slices.ContainsFunc(nodes[1].groups.own(), func(g *Group) bool { return g.Size() != 1 })
	})
}

// TestJoinAllWithStates: of each group a state is fetched, and all at once.
func TestJoinAllWithStates(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of connections")
	}
	nodes := openRing(t, 2, nil)
	names := manyNames(2 * maxEarly)
	for _, n := range nodes {
		if _, err := n.JoinAll(patient(t), names, func(string) Handler { return &ledger{} }); err != nil {
			t.Fatal(err)
		}
	}
	if s := nodes[1].Stats(); s.StatesRestored != uint64(len(names)) || s.StatesFailed > 0 {
		t.Errorf("%d states restored, %d failed; want %d and none", s.StatesRestored, s.StatesFailed, len(names))
	}
}

// TestNoRoomForMoreGroups: who joins what the ring's table has no room for is told, and
// whoever comes into the ring later still gets the table, however large.
func TestNoRoomForMoreGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("tens of thousands of groups")
	}
	cluster := ""
	nodes := openRing(t, 1, func(_ int, c *Config) { cluster = c.Cluster })
	names := make([]string, 60_000)
	for i := range names {
		names[i] = fmt.Sprintf("%0255d", i)
	}
	h := func(string) Handler { return HandlerFunc(func(*Message) {}) }
	if _, err := nodes[0].JoinAll(patient(t), names, h); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("all at once: %v, want that there is no room", err)
	}
	if _, err := nodes[0].JoinAll(patient(t), names[:57_000], h); err != nil {
		t.Fatal(err)
	}
	late, err := Open(patient(t), Config{Cluster: cluster, Name: "late", Interface: "lo", Expect: 1, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = late.Close() })
	if _, err := late.Join(patient(t), names[0], h("")); err != nil {
		t.Error(err)
	}
}
