package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cohort/order"
)

// Scenario is everything about a run. Times are virtual ns since its start,
// sizes bytes, probabilities 0 to 1.
type Scenario struct {
	Seed       uint64 // of the network's dice
	Members    int    // 2 to MaxMembers
	Segment    int    // largest packet
	RecvBuffer int    // socket buffer of each member
	HoldLimit  int    // core.Config.HoldLimit
	Batch      int    // most packets that a turn receives
	Deliver    int    // most messages that a turn delivers
	Take       int    // most messages that the program takes in a turn, as if its ring were full then; 0: all
	Nap        int64  // least time between a member's turns
	OwnSlab    bool   // every packet comes in a slab of its own, as lone datagrams do

	Delay   int64   // least delay of a packet
	Jitter  int64   // added at random to the delay
	Uneven  int64   // at random up to this added to all delays of a link
	Reorder bool    // a packet may overtake another of the same sender
	Loss    float64 // of each packet for each receiver
	Dup     float64 // a packet comes twice
	Corrupt float64 // bits are flipped
	Forge   float64 // bytes are changed and the checksum is set right: then only NoPanic is checked
	Local   bool    // the members are on one host: packets are of wire.LocalVersion
	Calm    int64   // when all faults have ended

	Ops []Op
}

// MaxMembers bounds a scenario.
const MaxMembers = 9

// Kind says what an Op does.
type Kind uint8

// The kinds of operations.
const (
	Send  Kind = iota // the member's program sends Count messages
	Pause             // the member takes no turn For a while: its socket buffer fills
	Slow              // the member's program takes no message For a while
	Cut               // nothing from Member reaches Peer For a while
	Stray             // packets of another view or cluster come, in the name of Member
)

// Op is one thing that happens at a time.
type Op struct {
	At     int64
	Member int
	Kind   Kind
	For    int64 // Pause, Slow, Cut
	Peer   int   // Cut
	Count  int   // Send
	Level  order.Level
	Size   int
	Group  uint32
	Chain  int  // Send: length of the chain of replies that the messages set off
	Abort  bool // Send: abort the message if the window closes in its middle
}

func (s Scenario) lastOp() int64 {
	last := int64(0)
	for _, op := range s.Ops {
		last = max(last, op.At)
	}
	return last
}

// has tells whether the scenario has operations of this kind.
func (s Scenario) has(kind Kind) bool {
	return slices.ContainsFunc(s.Ops, func(op Op) bool { return op.Kind == kind })
}

// String prints the scenario for people, one operation a line.
func (s Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d members, segment %d B, socket buffer %d B, hold limit %d B, batch %d, deliver %d, take %d, nap %v, own slabs %t, local %t\n",
		s.Seed, s.Members, s.Segment, s.RecvBuffer, s.HoldLimit, s.Batch, s.Deliver, s.Take, time.Duration(s.Nap), s.OwnSlab, s.Local)
	fmt.Fprintf(&b, "network: delay %v + up to %v, uneven %v, reorder %t, loss %.1f%%, duplication %.1f%%, corruption %.1f%%, forgery %.1f%%, calm after %v\n",
		time.Duration(s.Delay), time.Duration(s.Jitter), time.Duration(s.Uneven), s.Reorder, 100*s.Loss, 100*s.Dup, 100*s.Corrupt, 100*s.Forge, time.Duration(s.Calm))
	for _, op := range s.Ops {
		fmt.Fprintf(&b, "%12v  %d %s\n", time.Duration(op.At), op.Member, op.what())
	}
	return b.String()
}

func (op Op) what() string {
	switch op.Kind {
	case Pause:
		return fmt.Sprintf("pauses for %v", time.Duration(op.For))
	case Slow:
		return fmt.Sprintf("takes no message for %v", time.Duration(op.For))
	case Cut:
		return fmt.Sprintf("does not reach %d for %v", op.Peer, time.Duration(op.For))
	case Stray:
		return fmt.Sprintf("is impersonated by a stranger with %d B of %v", op.Size, op.Level)
	}
	text := fmt.Sprintf("sends %d x %v of %d B to group %d", op.Count, op.Level, op.Size, op.Group)
	if op.Chain > 0 {
		text += fmt.Sprintf(", answered %d deep", op.Chain)
	}
	if op.Abort {
		text += ", aborted on the way"
	}
	return text
}
