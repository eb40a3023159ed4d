package engine

import (
	"slices"
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
	BeaconsSent                uint64 // by which processes find each other
	BeaconsReceived            uint64
	BadBeacons, BadLetters     uint64
	LettersSent                uint64 // of the control plane
	LettersReceived            uint64
	Views                      uint64 // views that this node entered
	Expelled                   uint64 // times that the ring went on without this node
	MessagesLost               uint64 // accepted by Send, and dropped when that happened
	StateSent, StateReceived   uint64 // bytes of groups' states
	StatesGiven                uint64 // whole states of groups
	StatesRestored             uint64
	StatesFailed               uint64 // that could not be had from the member that was asked
	Suspicions                 uint64 // times that a member of the view came to be suspected
	PausesSeen                 uint64 // times that a member was seen to ask the senders to pause, this one included
	Stalls                     uint64 // times that the loop stood still for 50 ms, or a quarter of Config.Timeout if that is more
	TokenHeldNS                uint64 // ns for which this node held the ordering token
}

// Levels are as of now: they rise and fall.
type Levels struct {
	SlabBytes   uint64 // packet memory in use
	HeldBytes   uint64 // of it, received and not delivered
	FannedOut   uint64 // members that get what is for all one by one
	HoldLimit   uint64 // Config.HoldLimit: past so many the senders are asked to pause
	WindowBytes uint64 // kernel memory, at a receiver, of this node's packets in flight
	WindowLimit uint64 // how much that may be now
	SubmitBytes uint64 // of messages that wait to be sent
	SubmitLimit uint64 // Config.SubmitRing
	TokenHeld   uint64 // 1 while this node holds the ordering token, else 0
	View        uint64 // number of the ring's view; 0 while this node is in none
	Members     uint64 // of that view
	Blocked     uint64 // 1 while too few of them are left to go on, else 0
	Suspected   uint64 // members of the view that are suspected
	Pausing     uint64 // members of the view that ask the senders to pause
	Restoring   uint64 // groups whose state is being restored here
}

// Stats counts what a node did since Open. Counters only grow.
type Stats struct {
	core.Stats
	LoopStats
	Levels
	DroppedByKernel uint64 // packets (a train is one) that found the receive buffer full
}

// GroupStats counts what one group delivered here.
type GroupStats struct {
	Group     string // "": all that are not counted one by one
	Delivered uint64 // messages handed to the group's handler or queue
}

// maxCounted bounds the groups whose messages are counted one by one.
const maxCounted = 32

// groupCounts is those counters, by Group.counter. The first one is of all groups that
// are not counted one by one.
type groupCounts struct {
	groups [maxCounted]*Group // that have counters 1 and up; nil: free
	counts [maxCounted + 1]uint64
}

// enter gives a group a counter of its own if there is one, which it keeps for as long
// as it exists.
func (c *groupCounts) enter(g *Group) {
	if i := slices.Index(c.groups[:], nil); i >= 0 {
		g.counter = uint8(i + 1)
		c.groups[i], c.counts[g.counter] = g, 0
	}
}

func (c *groupCounts) leave(g *Group) {
	if i := slices.Index(c.groups[:], g); i >= 0 {
		c.groups[i] = nil
	}
}

// published is the counters as the loop goes, and as others may read them.
type published struct {
	loop LoopStats
	past core.Stats // of views that have ended

	stateSent, stateReceived, statesGiven atomic.Uint64

	groups groupCounts

	mu         sync.Mutex
	last       Stats
	lastGroups groupCounts
}

// publish makes the counters readable. Holder of Node.mu only.
func (n *Node) publish() {
	s := Stats{DroppedByKernel: n.conn.Drops()}
	s.Stats = n.stats.past
	if n.proc.In() {
		m := n.proc.Site().Machine()
		now := m.Stats()
		s.Stats.Add(&now)
		n.levels(&s.Levels)
	}
	s.SlabBytes = uint64(n.pool.Live()) * slab.Size
	s.SubmitBytes, s.SubmitLimit = uint64(n.submits.Pending()), uint64(n.cfg.SubmitRing)
	s.HoldLimit, s.Restoring = uint64(n.cfg.HoldLimit), uint64(n.groups.restoring)
	n.observe(&s)
	s.LoopStats = n.stats.loop
	s.StateSent, s.StateReceived, s.StatesGiven = n.stats.stateSent.Load(), n.stats.stateReceived.Load(), n.stats.statesGiven.Load()
	n.stats.mu.Lock()
	n.stats.last, n.stats.lastGroups = s, n.stats.groups
	n.stats.mu.Unlock()
}

// levels fills in what there is to say of the view.
func (n *Node) levels(l *Levels) {
	at := n.proc.Site()
	m, v := at.Machine(), at.View()
	l.HeldBytes = uint64(m.Held())
	l.FannedOut = uint64(len(n.carrier.copies))
	used, limit := m.Window()
	l.WindowBytes, l.WindowLimit = uint64(used), uint64(limit)
	l.View, l.Members = v.Num, uint64(len(v.Members))
	if m.Holder() == at.Rank() {
		l.TokenHeld = 1
	}
	if at.Blocked() {
		l.Blocked = 1
	}
}

// Stats returns the node's counters as of the end of the loop's last turn.
func (n *Node) Stats() Stats {
	n.stats.mu.Lock()
	defer n.stats.mu.Unlock()
	return n.stats.last
}

// GroupStats returns what each of this node's groups delivered since it was joined,
// as of the end of the loop's last turn: of up to 32 groups, those that were joined
// first, one by one, and last of all others together.
func (n *Node) GroupStats() []GroupStats {
	n.stats.mu.Lock()
	defer n.stats.mu.Unlock()
	c := &n.stats.lastGroups
	list := make([]GroupStats, 0, maxCounted+1)
	for i, g := range c.groups {
		if g != nil {
			list = append(list, GroupStats{g.name, c.counts[i+1]})
		}
	}
	return append(list, GroupStats{"", c.counts[0]})
}
