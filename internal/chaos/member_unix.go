//go:build unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cohort/engine"
)

// Orders to a member, on its notice board.
const (
	Work     uint64 = iota // send as fast as there is room
	Calm                   // stay in the group, and send no more than it takes to settle
	Conclude               // note where you stand at the end, and stay
	Leave                  // end, in good order
)

// Stand is where a member stands.
const (
	Outside uint64 = iota
	Inside
	Blocked
	Away // expelled, and not back
)

// MemberConfig is what a member is told.
type MemberConfig struct {
	Journal   string
	Process   int // its number, which no other ever has
	Cluster   string
	Interface string
	Expect    int
	Timeout   time.Duration
	Churn     time.Duration // it leaves and comes back about so often; 0: it stays
	Queued    bool          // its handler is a queued one
	Pause     time.Duration // about so long nothing is sent between two bursts
	Bulk      int           // bytes of a state
	Slow      time.Duration // about so long it takes to restore one
	Network   Network
}

// group is the name of the one group.
const group = "chaos"

// patience is how long a member tries to come in before it says that it cannot.
const patience = 60 * time.Second

// member is a process that takes part.
type member struct {
	cfg     MemberConfig
	journal *Journal
	node    *engine.Node
	group   *engine.Group
	replica *replica
	next    [threads]uint32        // number of the next message
	sent    [threads]atomic.Uint32 // the last that Send has taken
	sending [threads]atomic.Bool   // it may be about to send, whatever was ordered meanwhile
}

// Serve is the life of a member: until it is ordered to leave, or ctx ends.
func Serve(ctx context.Context, cfg MemberConfig) (err error) {
	j, err := OpenJournal(cfg.Journal)
	if err != nil {
		return err
	}
	m := &member{cfg: cfg, journal: j}
	for t := range threads {
		m.next[t] = 1
	}
	for ctx.Err() == nil && j.See(Order) != Leave {
		if err := m.live(ctx); err != nil {
			return err
		}
	}
	return nil
}

// live is one time in the ring: it opens a node, and closes it.
func (m *member) live(ctx context.Context) (err error) {
	open, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m.node, err = engine.Open(open, engine.Config{
		Cluster: m.cfg.Cluster, Name: nameOf(m.cfg.Process), Interface: m.cfg.Interface, Expect: m.cfg.Expect, Timeout: m.cfg.Timeout,
		Transport: m.cfg.Network.Transport, Port: m.cfg.Network.Port, Seeds: m.cfg.Network.Seeds,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	for stay := 1 + rand.IntN(3); stay > 0; stay-- {
		left, err := m.take(ctx)
		if err != nil {
			return errors.Join(err, m.node.Close())
		}
		if !left {
			break
		}
	}
	if err := m.node.Close(); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	m.journal.Post(Standing, Outside)
	m.journal.Post(GroupSize, 0)
	return nil
}

// take is one time in the group: it joins, sends, and leaves. Half of the time it
// has not left, and the node is to be closed.
func (m *member) take(ctx context.Context) (left bool, err error) {
	m.replica = &replica{journal: m.journal, node: m.node, process: m.cfg.Process, bulk: m.cfg.Bulk, slow: m.cfg.Slow}
	var h engine.Handler = m.replica
	begin := Record{Kind: Session}
	if m.cfg.Queued {
		h, begin.Flags = engine.Queued(h, 0), FlagQueued
	}
	m.journal.Write(begin)
	join, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m.group, err = m.node.Join(join, group, h)
	if err != nil {
		return false, unlessOut(err)
	}
	stop, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for t := range threads {
		wg.Go(func() { m.send(stop, uint8(t)) })
	}
	m.watch(ctx)
	end()
	wg.Wait()
	if rand.IntN(2) == 0 || m.journal.See(Order) == Leave {
		return false, nil
	}
	leave, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = m.group.Leave(leave)
	return err == nil, unlessOut(err)
}

// unlessOut drops an error that says that a node can neither join nor leave now. It
// is closed instead.
func unlessOut(err error) error {
	if errors.Is(err, engine.ErrExpelled) || errors.Is(err, engine.ErrNoQuorum) {
		return nil
	}
	return err
}

// watch keeps the notice board until it is time to leave.
func (m *member) watch(ctx context.Context) {
	until := time.Now().Add(m.cfg.Churn/2 + rand.N(m.cfg.Churn+1))
	for n := uint64(0); ctx.Err() == nil; n++ {
		m.post(n)
		order := m.journal.See(Order)
		if order == Conclude && m.journal.See(Concluded) == 0 {
			m.journal.Write(Record{Kind: End})
			m.journal.Post(Concluded, 1)
		}
		if order == Leave || m.cfg.Churn > 0 && time.Now().After(until) && order == Work {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// post fills in the notice board.
func (m *member) post(n uint64) {
	j, v := m.journal, m.node.View()
	r := m.replica
	unsettled := uint64(0)
	if j.See(Order) != Calm { // seen before the threads are looked at: see send
		unsettled++
	}
	for t := range threads {
		unsettled += uint64(m.sent[t].Load() - r.own[t].Load())
		if m.sending[t].Load() { // seen after: what made it send again may have settled meanwhile
			unsettled++
		}
	}
	r.mu.Lock()
	digest := r.state.digest()
	r.mu.Unlock()
	stats := m.node.Stats()
	r.journal.Post(Standing, r.standing.Load())
	for k, w := range map[int]uint64{
		RingKey: v.Key(), RingSize: uint64(len(v.Members)), RingRank: uint64(m.node.Rank() + 1), GroupSize: uint64(m.group.Size()),
		Digest: digest, Unsettled: unsettled, Goroutines: uint64(runtime.NumGoroutine()), Slabs: stats.SlabBytes, Delivered: stats.MessagesDelivered,
		Copied: stats.TrainsCopied,
	} {
		j.Post(k, w)
	}
	if n%500 == 499 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		j.Post(Heap, s.HeapInuse)
	}
}

// send is a thread of the program: bursts of messages, and pauses.
func (m *member) send(ctx context.Context, t uint8) {
	var payload []byte
	for burst := 0; ctx.Err() == nil; burst-- {
		if burst <= 0 {
			burst = 1 + rand.IntN(400)
			time.Sleep(rand.N(2*m.cfg.Pause + 1))
		}
		m.sending[t].Store(true)
		if m.journal.See(Order) != Work && !m.mustSettle(t) {
			m.sending[t].Store(false)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s := spec{process: uint16(m.cfg.Process), thread: t, num: m.next[t]}
		payload = s.append(payload[:0])
		ok := m.sendOne(s, payload)
		m.sending[t].Store(false)
		if !ok {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// mustSettle tells whether the last message of this thread has not come back for a
// while: it may have been lost with a ring that went on without this member.
func (m *member) mustSettle(t uint8) bool {
	for range 100 {
		if m.replica.own[t].Load() == m.sent[t].Load() || m.journal.See(Order) != Calm {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// sendOne sends a message. One that is refused keeps its number: nobody may have it.
func (m *member) sendOne(s spec, payload []byte) bool {
	// What is being sent when the member is to leave is waited for: it is neither
	// refused nor sent if the context ends in the middle.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m.journal.Write(Record{Kind: Try, Thread: s.thread, Level: s.level(), Num: s.num})
	err := m.group.Send(ctx, s.level(), payload)
	r := Record{Kind: Sent, Thread: s.thread, Num: s.num}
	if err != nil {
		r.Kind = Refused
	} else {
		m.sent[s.thread].Store(s.num)
		m.next[s.thread]++
	}
	m.journal.Write(r)
	return err == nil
}
