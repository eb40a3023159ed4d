package engine

import (
	"sync"

	"cohort/core"
	"cohort/slab"
)

// LoopStats counts what the loop and its sockets did since Open.
type LoopStats struct {
	TrainsSent, TrainsReceived uint64
	SendCalls, RecvCalls       uint64 // system calls
	SendErrors                 uint64 // trains that the network refused
	Wakeups, Naps              uint64
	BadBeacons                 uint64
}

// Stats counts what a node did since Open. Counters only grow.
type Stats struct {
	core.Stats
	LoopStats
	DroppedByKernel uint64 // packets (a train is one) that found the receive buffer full
	SlabBytes       uint64 // packet memory in use now: a level, not a counter
	HeldBytes       uint64 // of it, received and not delivered
}

// published is the counters as the loop goes, and as others may read them.
type published struct {
	loop LoopStats
	mu   sync.Mutex
	last Stats
}

// publish makes the counters readable. Holder of Node.mu only.
func (n *Node) publish() {
	s := Stats{LoopStats: n.stats.loop, DroppedByKernel: n.conn.Drops()}
	if n.machine != nil {
		s.Stats = n.machine.Stats()
		s.HeldBytes = uint64(n.machine.Held())
	}
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
