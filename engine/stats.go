package engine

import (
	"sync"
	"sync/atomic"

	"cohort/core"
	"cohort/slab"
)

// LoopStats counts what the loop and its sockets did since Open.
type LoopStats struct {
	TrainsSent, TrainsReceived uint64
	TrainsCopied               uint64 // of those sent, to one member though they are for all: see Config.Transport
	SendCalls, RecvCalls       uint64 // system calls
	SendErrors                 uint64 // trains that the network refused
	Wakeups, Naps              uint64
	BadBeacons, BadLetters     uint64
	LettersSent                uint64 // of the control plane
	LettersReceived            uint64
	Views                      uint64 // views that this node entered
	Expelled                   uint64 // times that the ring went on without this node
	MessagesLost               uint64 // accepted by Send, and dropped when that happened
	StateSent, StateReceived   uint64 // bytes of groups' states
}

// Stats counts what a node did since Open. Counters only grow.
type Stats struct {
	core.Stats
	LoopStats
	DroppedByKernel uint64 // packets (a train is one) that found the receive buffer full
	SlabBytes       uint64 // packet memory in use now: a level, not a counter
	HeldBytes       uint64 // of it, received and not delivered
	FannedOut       uint64 // members that get what is for all one by one now: a level
	TokenHeld       uint64 // 1 while this node holds the ordering token, else 0: a level
}

// published is the counters as the loop goes, and as others may read them.
type published struct {
	loop LoopStats
	past core.Stats // of views that have ended

	stateSent, stateReceived atomic.Uint64

	mu   sync.Mutex
	last Stats
}

// publish makes the counters readable. Holder of Node.mu only.
func (n *Node) publish() {
	s := Stats{LoopStats: n.stats.loop, DroppedByKernel: n.conn.Drops()}
	s.Stats = n.stats.past
	if n.proc.In() {
		m := n.proc.Site().Machine()
		now := m.Stats()
		s.Stats.Add(&now)
		s.HeldBytes = uint64(m.Held())
		s.FannedOut = uint64(len(n.carrier.copies))
		if m.Holder() == n.proc.Site().Rank() {
			s.TokenHeld = 1
		}
	}
	s.StateSent, s.StateReceived = n.stats.stateSent.Load(), n.stats.stateReceived.Load()
	s.SlabBytes = uint64(n.pool.Live()) * slab.Size
	n.stats.mu.Lock()
	n.stats.last = s
	n.stats.mu.Unlock()
}

// Stats returns the node's counters as of the end of the loop's last turn.
func (n *Node) Stats() Stats {
	n.stats.mu.Lock()
	defer n.stats.mu.Unlock()
	return n.stats.last
}
