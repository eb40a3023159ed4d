package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("topic/", i)
	}
	return names
}

// joinMany has each node join all groups, and waits until each knows of all.
func joinMany(t testing.TB, nodes []*Node, names []string, h func(i int) Handler) [][]*Group {
	t.Helper()
	lists := make([][]*Group, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			var err error
			if lists[i], err = n.JoinAll(context.Background(), names, func(string) Handler { return h(i) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, list := range lists {
		for _, g := range list {
			eventually(t, "all in the group", func() bool { return g.Size() == len(nodes) })
		}
	}
	return lists
}

var manyGroups = []int{1, 100, 10_000, 100_000}

// BenchmarkManyGroups sends to so many groups in turn, from one node of three in this
// process, all of them members of all groups. The time is per message delivered at all.
func BenchmarkManyGroups(b *testing.B) {
	for _, l := range []Level{FIFO, Total} {
		for _, many := range manyGroups {
			b.Run(fmt.Sprint(l, "/", many), func(b *testing.B) {
				nodes := openRing(b, 3, nil)
				var count [3]atomic.Int64
				lists := joinMany(b, nodes, manyNames(many), func(i int) Handler {
					return HandlerFunc(func(*Message) { count[i].Add(1) })
				})
				payload := make([]byte, 64)
				ctx := context.Background()
				b.ReportAllocs()
				b.ResetTimer()
				for k := range b.N {
					if err := lists[0][k%many].Send(ctx, l, payload); err != nil {
						b.Fatal(err)
					}
				}
				for i := range count {
					eventually(b, "delivery", func() bool { return count[i].Load() == int64(b.N) })
				}
			})
		}
	}
}

// BenchmarkJoinAll has each of three nodes in this process join so many groups, and leave
// them. The time is per group joined and left by all.
func BenchmarkJoinAll(b *testing.B) {
	for _, many := range manyGroups {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			nodes := openRing(b, 3, nil)
			names := manyNames(many)
			for b.Loop() {
				lists := joinMany(b, nodes, names, func(int) Handler { return HandlerFunc(func(*Message) {}) })
				var wg sync.WaitGroup
				for i, n := range nodes {
					wg.Go(func() {
						if err := n.LeaveAll(context.Background(), lists[i]); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*many), "ns/group")
		})
	}
}
