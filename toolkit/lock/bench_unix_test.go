//go:build unix

package lock

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// BenchmarkUncontended is Lock and Unlock of a lock that nobody else wants, in a ring of
// three. With members=3 each takes it in turn, so that the ordering token is elsewhere.
func BenchmarkUncontended(b *testing.B) {
	for _, turns := range []int{1, 3} {
		for _, l := range []engine.Level{engine.Total, engine.Total.Safe(), engine.Total.SafeAll()} {
			b.Run(fmt.Sprintf("members=%d/%v", turns, l), func(b *testing.B) {
				list := join(b, testring.Open(b, 3, time.Minute))
				ms := []*Mutex{list[0].Mutex("m", l), list[1].Mutex("m", l), list[2].Mutex("m", l)}
				cost := testring.Measure(b)
				for k := range b.N {
					start := time.Now()
					locked(b, ms[k%turns], func() {})
					cost.Since(start)
				}
				cost.Report(b.N)
			})
		}
	}
}

// BenchmarkContended is how often a lock changes hands that many want at each member.
func BenchmarkContended(b *testing.B) {
	for _, owners := range []int{1, 16} {
		for _, l := range []engine.Level{engine.Total, engine.Total.Safe()} {
			b.Run(fmt.Sprintf("owners=3x%d/%v", owners, l), func(b *testing.B) {
				list := join(b, testring.Open(b, 3, time.Minute))
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				cost := testring.Measure(b)
				for k := range 3 * owners {
					wg.Go(func() {
						m := list[k%3].Mutex("m", l)
						for left.Add(-1) >= 0 {
							locked(b, m, func() {})
						}
					})
				}
				wg.Wait()
				cost.Report(b.N)
			})
		}
	}
}

func locked(b *testing.B, m *Mutex, under func()) {
	if _, err := m.Lock(context.Background()); err != nil {
		b.Error(err)
		return
	}
	under()
	if err := m.Unlock(); err != nil {
		b.Error(err)
	}
}

// BenchmarkUpdates is one update of a replicated variable under a lock, at each level: a
// member takes the lock, updates eight times, and releases; then the next member does.
// The times are from sending an update until it is applied at who made it, as one needs
// who reads what it has written; in rows "sent" only the last of the eight is waited for.
func BenchmarkUpdates(b *testing.B) {
	for _, busy := range []bool{false, true} {
		for _, each := range []bool{true, false} {
			for _, l := range []engine.Level{engine.Causal, engine.Total, engine.Total.Safe()} {
				name := map[bool]string{true: "applied", false: "sent"}[each]
				b.Run(fmt.Sprintf("busy=%v/%s/%v", busy, name, l), func(b *testing.B) { updates(b, l, each, busy) })
			}
		}
	}
}

func updates(b *testing.B, l engine.Level, each, busy bool) {
	const section = 8
	nodes := testring.Open(b, 3, time.Minute)
	list := join(b, nodes)
	members := make([]*member, len(nodes))
	for i, n := range nodes {
		members[i] = newMember(b, n, list[i])
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	if busy {
		for _, m := range members {
			wg.Go(func() { m.chatter(b, stop) })
		}
	}
	cost := testring.Measure(b)
	for k := 0; k < b.N; k += section {
		m := members[k/section%len(members)]
		locked(b, m.mutex, func() {
			for i := range section {
				m.update(b, l, each || i == section-1, cost)
			}
		})
	}
	b.StopTimer()
	cost.Report(b.N)
	close(stop)
	wg.Wait()
}

// member is one that updates the variable.
type member struct {
	mutex   *Mutex
	group   *engine.Group
	applied chan struct{} // an update of its own that it waits for
}

func newMember(b *testing.B, n *engine.Node, locks *Locks) *member {
	m := &member{mutex: locks.Mutex("account", engine.Total), applied: make(chan struct{}, 1)}
	self := n.Self().ID
	var err error
	m.group, err = n.Join(testring.Patient(b), "accounts", engine.HandlerFunc(func(k *engine.Message) {
		if k.Payload[0] == 1 && k.From().ID == self {
			m.applied <- struct{}{}
		}
	}))
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// update sends one; if wait, it waits until that and all before it are applied here.
func (m *member) update(b *testing.B, l engine.Level, wait bool, cost *testring.Cost) {
	var payload [64]byte
	if wait {
		payload[0] = 1
	}
	start := time.Now()
	if err := m.group.Send(context.Background(), l, payload[:]); err != nil {
		b.Error(err)
		return
	}
	if wait {
		<-m.applied
		cost.Since(start)
	}
}

// chatter sends 2,000 messages a second in the total order, as members do that work under
// other locks.
func (m *member) chatter(b *testing.B, stop chan struct{}) {
	tick := time.NewTicker(time.Second / 2000)
	defer tick.Stop()
	for payload := make([]byte, 64); ; {
		select {
		case <-stop:
			return
		case <-tick.C:
			if err := m.group.Send(context.Background(), engine.Total, payload); err != nil {
				b.Error(err)
				return
			}
		}
	}
}
