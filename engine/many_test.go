package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
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
// process, all of them members of all groups. The time is per message delivered at all,
// the CPU time that of one node's loop that only receives.
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
				before := loopCPU(b, nodes[1])
				for k := range b.N {
					if err := lists[0][k%many].Send(ctx, l, payload); err != nil {
						b.Fatal(err)
					}
				}
				for i := range count {
					eventually(b, "delivery", func() bool { return count[i].Load() == int64(b.N) })
				}
				b.ReportMetric(float64(loopCPU(b, nodes[1])-before)/float64(b.N), "receiver-cpu-ns/op")
			})
		}
	}
}

// BenchmarkJoinAll has each of three nodes in this process join so many groups, and leave
// them. The CPU time is of the process, per group joined and left by all.
func BenchmarkJoinAll(b *testing.B) {
	for _, many := range manyGroups {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			nodes := openRing(b, 3, nil)
			names := manyNames(many)
			before := processCPU(b)
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
			b.ReportMetric(float64(processCPU(b)-before)/float64(b.N*many), "cpu-ns/group")
		})
	}
}

// TestGroupsFillCacheLines: what each message of a group looks at is in one line of 64
// bytes, and all groups begin with one.
func TestGroupsFillCacheLines(t *testing.T) {
	var g Group
	if at, size := unsafe.Offsetof(g.name), unsafe.Sizeof(g); at != 64 || size > 320 {
		t.Errorf("the first line has %d bytes, want 64, and all %d, want no more than 320, which the allocator aligns", at, size)
	}
}

// BenchmarkOutsider is the CPU time that a message takes of a node's loop, whether the
// node is in the message's group or not.
func BenchmarkOutsider(b *testing.B) {
	for _, l := range []Level{FIFO, Total} {
		for _, size := range []int{64, 1024, 65_536} {
			for _, in := range []bool{true, false} {
				b.Run(fmt.Sprint(l, "/", size, "/in=", in), func(b *testing.B) {
					nodes := openRing(b, 3, nil)
					members := nodes
					if !in {
						members = nodes[:2]
					}
					var count [3]atomic.Int64
					lists := joinMany(b, members, []string{"inside"}, func(i int) Handler {
						return HandlerFunc(func(*Message) { count[i].Add(1) })
					})
					ctx, payload := context.Background(), make([]byte, size)
					b.ResetTimer()
					before := loopCPU(b, nodes[2])
					for range b.N {
						if err := lists[0][0].Send(ctx, l, payload); err != nil {
							b.Fatal(err)
						}
					}
					for i := range members {
						eventually(b, "delivery", func() bool { return count[i].Load() == int64(b.N) })
					}
					b.ReportMetric(float64(loopCPU(b, nodes[2])-before)/float64(b.N), "third-cpu-ns/op")
				})
			}
		}
	}
}
