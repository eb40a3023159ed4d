package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"sync"
	"time"

	"cohort/internal/bench/member"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// How raft is driven; README.md has what else was tried.
const (
	raftTick  = 100 * time.Millisecond
	elections = 50 // ticks: nobody is to be taken for dead that waits for its turn on a core

	entrySize = 256 << 10 // bytes of messages that one entry takes at full speed
	inFlight  = 4 << 20   // bytes of own messages proposed and not yet delivered here
	retained  = 8 << 20   // bytes of log kept at least, and twice as much at most unless a member lags
)

// raftMedium is one member of a raft group. Whoever has something for it takes
// the lock and carries it through: a message from another member is stepped,
// answered and delivered by the goroutine that read it, with no hand-over.
type raftMedium struct {
	sink  member.Sink
	index int // id - 1
	links *links
	stop  chan struct{}
	once  sync.Once
	ended sync.WaitGroup

	mu      sync.Mutex
	turned  sync.Cond // there was a turn, for who waits for a leader or for room
	node    *raft.RawNode
	log     *raft.MemoryStorage
	leader  uint64
	self    byte   // rank in the row
	flying  int    // bytes proposed here and not delivered here
	applied uint64 // index
	kept    int    // bytes of entries applied since mark
	mark    uint64 // index applied when the log was last cut
	failed  error
}

// openRaft joins the group. Member 0 leads it: at one sender, it is the one.
func openRaft(ctx context.Context, o member.Open, sink member.Sink) (*raftMedium, error) {
	m := &raftMedium{sink: sink, index: o.Index, log: raft.NewMemoryStorage(), stop: make(chan struct{})}
	m.turned.L = &m.mu
	voters := make([]uint64, o.Members)
	for i := range voters {
		voters[i] = uint64(i + 1)
	}
	start := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &pb.ConfState{Voters: voters}}}
	if err := m.log.ApplySnapshot(start); err != nil {
		return nil, err
	}
	m.applied = 1
	var err error
	m.node, err = raft.NewRawNode(&raft.Config{
		ID: voters[o.Index], Storage: m.log, Applied: m.applied,
		ElectionTick: elections, HeartbeatTick: elections / 10, PreVote: true, CheckQuorum: true,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: math.MaxUint64, MaxInflightMsgs: 1 << 14,
		Logger: &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
	if err != nil {
		return nil, err
	}
	m.mu.Lock() // others may be done sooner, and send
	m.links, err = dial(ctx, o, m.receive, m.wrote)
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	m.ended.Go(m.tick)
	if o.Index == 0 {
		m.turn(func() error { return m.node.Campaign() })
	}
	if err := m.elected(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// elected waits until there is a leader.
func (m *raftMedium) elected(ctx context.Context) error {
	defer context.AfterFunc(ctx, m.turned.Broadcast)()
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.leader == raft.None && m.failed == nil && ctx.Err() == nil {
		m.turned.Wait()
	}
	return errors.Join(m.failed, ctx.Err())
}

func (m *raftMedium) tick() {
	t := time.NewTicker(raftTick)
	defer t.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-t.C:
			m.turn(func() error { m.node.Tick(); return nil })
		}
	}
}

// receive takes what other members have sent, all that came at once.
func (m *raftMedium) receive(messages []*pb.Message) {
	// A leader needs only the faster follower. It would owe the other one ever more memory.
	m.mu.Lock()
	for from := int(messages[0].GetFrom()) - 1; m.leader == uint64(m.index+1) && m.links.owed(from) > inFlight && m.failed == nil; {
		m.turned.Wait()
	}
	m.mu.Unlock()
	m.turn(func() error {
		for _, msg := range messages {
			if err := m.node.Step(msg); err != nil && !errors.Is(err, raft.ErrProposalDropped) {
				return fmt.Errorf("%v: %w", msg.GetType(), err)
			}
		}
		return nil
	})
}

// wrote wakes who waits for a member that was behind.
func (m *raftMedium) wrote() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turned.Broadcast()
}

// turn does something to the node and then all that follows from it.
func (m *raftMedium) turn(do func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		m.failed = do()
	}
	for m.failed == nil && m.node.HasReady() {
		m.failed = m.ready(m.node.Ready())
	}
	m.turned.Broadcast()
}

// ready carries out what the node has decided. The log is memory, so that writing it
// costs nothing and messages need not go first.
func (m *raftMedium) ready(rd raft.Ready) error {
	if rd.SoftState != nil {
		m.leader = rd.SoftState.Lead
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if err := m.log.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	if err := m.log.Append(rd.Entries); err != nil {
		return err
	}
	if err := m.links.send(rd.Messages); err != nil {
		return err
	}
	for _, e := range rd.CommittedEntries {
		if err := m.deliver(e); err != nil {
			return err
		}
	}
	m.node.Advance(rd)
	return m.compact()
}

// deliver hands up the messages of an entry: its sender's rank, and each with its length before it.
func (m *raftMedium) deliver(e *pb.Entry) error {
	m.applied = e.GetIndex()
	data := e.GetData()
	m.kept += len(data)
	if len(data) == 0 {
		return nil // a new leader's
	}
	from, rest := data[0], data[1:]
	for len(rest) > 0 {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			return fmt.Errorf("entry %d is damaged", m.applied)
		}
		rest = rest[used:]
		m.sink(int(from), rest[:n])
		rest = rest[n:]
	}
	if from == m.self {
		m.flying -= len(data)
	}
	return nil
}

// compact forgets the log before the last mark, as far as all others have it if this member leads.
func (m *raftMedium) compact() error {
	if m.kept < retained {
		return nil
	}
	upTo := m.mark
	if m.leader == uint64(m.index+1) {
		m.node.WithProgress(func(_ uint64, _ raft.ProgressType, p tracker.Progress) { upTo = min(upTo, p.Match) })
	}
	m.kept, m.mark = 0, m.applied
	if err := m.log.Compact(upTo); err != nil && !errors.Is(err, raft.ErrCompacted) {
		return err
	}
	return nil
}

// Losses are TCP's to know.
func (m *raftMedium) Losses() member.Losses { return member.Losses{} }

// Close ends all deliveries.
func (m *raftMedium) Close() (err error) {
	m.once.Do(func() {
		close(m.stop)
		m.ended.Wait()
		m.mu.Lock()
		m.failed = errors.Join(m.failed, net.ErrClosed) // nobody waits any more
		m.turned.Broadcast()
		m.mu.Unlock()
		err = m.links.close()
	})
	return err
}
