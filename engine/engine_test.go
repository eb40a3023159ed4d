package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ring opens n nodes on lo that form a view of their own.
func openRing(t testing.TB, n int, change func(i int, c *Config)) []*Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nodes := make([]*Node, n)
	errs := make([]error, n)
	cluster := fmt.Sprintf("%s-%x", t.Name(), rand.Uint64())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			c := Config{Cluster: cluster, Name: fmt.Sprint("node", i), Interface: "lo", Expect: n,
				Timeout: time.Minute, // handlers of tests stand still
				Logger:  slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
			if change != nil {
				change(i, &c)
			}
			if nodes[i], errs[i] = Open(ctx, c); errs[i] == nil {
				errs[i] = nodes[i].AwaitMembers(ctx, n)
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, n := range nodes {
			if n != nil {
				wg.Go(func() {
					if err := n.Close(); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
	})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// joinAll has all nodes of a ring join by their ranks in it, which so are those in the group.
func joinAll(t testing.TB, nodes []*Node, name string, h func(i int) Handler) []*Group {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	groups := make([]*Group, len(nodes))
	for _, n := range byAge(slices.Clone(nodes)) {
		i := slices.Index(nodes, n)
		g, err := n.Join(ctx, name, h(i))
		if err != nil {
			t.Fatal(err)
		}
		groups[i] = g
	}
	allJoined(t, groups)
	return groups
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestTotalOrderAmongThreeNodes(t *testing.T) {
	nodes := openRing(t, 3, nil)
	const each = 20000
	var got [3][]uint64
	var count [3]atomic.Int64
	groups := joinAll(t, nodes, "orders", func(i int) Handler {
		return HandlerFunc(func(m *Message) {
			got[i] = append(got[i], uint64(m.Sender)<<32|binary.LittleEndian.Uint64(m.Payload))
			count[i].Add(1)
		})
	})
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() {
			for k := range uint64(each) {
				if err := g.Send(context.Background(), Total, binary.LittleEndian.AppendUint64(nil, k)); err != nil {
					t.Errorf("member %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range nodes {
		eventually(t, fmt.Sprint("all delivered at ", i), func() bool { return count[i].Load() == 3*each })
	}
	for i := 1; i < 3; i++ {
		for k := range got[0] {
			if got[i][k] != got[0][k] {
				t.Fatalf("delivery %d: member %d has %x, member 0 has %x", k, i, got[i][k], got[0][k])
			}
		}
	}
}

// TestOneHoldsTheToken: of an idle ring exactly one node says that it does.
func TestOneHoldsTheToken(t *testing.T) {
	nodes := openRing(t, 3, nil)
	eventually(t, "one holder of the token", func() bool {
		held := uint64(0)
		for _, n := range nodes {
			held += n.Stats().TokenHeld
		}
		return held == 1
	})
}
