// Package member is one member of a bench: a process that is told over its
// standard input, a JSON line at a time, what to send and measure, and answers
// on its standard output.
package member

import (
	"fmt"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/kernel"
	"cohort/iomulticast"
	"cohort/order"
)

// Raw is the level of no protocol at all.
const Raw = "raw"

// CheckLevel returns an error unless s names a level that a member can measure.
func CheckLevel(s string) error {
	l, err := order.Parse(s)
	if s == Raw || err == nil && !l.IsSafeAll() && l.String() == s {
		return nil
	}
	return fmt.Errorf("%q: want raw, fbcast, cbcast or abcast, or safe- before one of the last three", s)
}

// Request is one line to a member: Op says which of the others counts.
type Request struct {
	Op     Op           `json:"op"`
	Open   *Open        `json:"open,omitempty"`
	Join   *Join        `json:"join,omitempty"`
	Row    *Row         `json:"row,omitempty"`
	Phase  *Phase       `json:"phase,omitempty"`
	Expect []uint64     `json:"expect,omitempty"` // Wait: messages of each sender in the row so far
	Around *check.Entry `json:"around,omitempty"` // History: around this message
	From   uint64       `json:"from,omitempty"`   // History: or else from this place on
	Count  int          `json:"count,omitempty"`  // History: how many deliveries
}

// Op is what a member is asked to do.
type Op string

// What a member can be asked, in the order in which it happens. Everything but
// OpHistory happens at all members before the next happens at any.
const (
	OpOpen    Op = "open"    // open the sockets and form the group; answers Opened
	OpJoin    Op = "join"    // join more groups; answers Joined
	OpRow     Op = "row"     // begin a row; answers Used
	OpPhase   Op = "phase"   // prepare a phase of it
	OpSend    Op = "send"    // senders only: send; answers Sent when all is handed over
	OpWait    Op = "wait"    // wait until all is delivered; answers Measured
	OpDigests Op = "digests" // end the row; answers Digests, Breach and Used
	OpHistory Op = "history" // answers History
	OpHealth  Op = "health"  // answers Health; between rows
)

// Open says what to open.
type Open struct {
	Index      int      `json:"index"`                // of the process
	Members    int      `json:"members"`              // in the group
	Levels     []string `json:"levels"`               // that will be measured
	Interface  string   `json:"interface"`            // for all traffic
	Fanout     bool     `json:"fanout"`               // unicast to each member in the place of multicast
	Segment    int      `json:"segment"`              // largest packet, bytes of UDP payload; 0: from the interface
	RecvBuffer int      `json:"recv_buffer,omitzero"` // of each socket, bytes of kernel memory; 0: as much as there is to have
	Loss       float64  `json:"loss"`                 // probability that a member loses a packet that has come
	Cluster    string   `json:"cluster"`              // the engine's ring; nobody else's
	RawGroup   string   `json:"raw_group"`            // address and port for raw
	IdleGroup  string   `json:"idle_group"`
	Addresses  []string `json:"addresses,omitempty"` // for peers: free TCP addresses, two for each member
	Port       int      `json:"port,omitempty"`      // of the engine's node, which seeds name; 0: any
	Seeds      []string `json:"seeds,omitempty"`     // where the engine's other nodes are, beside who hears multicast
}

// Opened tells what a member opened.
type Opened struct {
	Rank     int                   `json:"rank"` // in the engine's view; -1 without an engine
	PID      int                   `json:"pid"`
	Engine   *iomulticast.Features `json:"engine,omitempty"`   // what the engine's sockets can do
	Raw      *iomulticast.Features `json:"raw,omitempty"`      // and the raw ones
	Versions []string              `json:"versions,omitempty"` // of a peer: what it was built from, "module version"
	Addr     string                `json:"addr,omitempty"`     // of the raw ones: IP and port
}

// Join says how many groups to be in, and how long that may take.
type Join struct {
	Groups int           `json:"groups"`
	Limit  time.Duration `json:"limit"`
}

// Joined tells of how many groups a member is in.
type Joined struct {
	Groups int           `json:"groups"`
	Took   time.Duration `json:"took"` // this request
}

// Row says what the next phases have in common.
type Row struct {
	Number  uint16 `json:"number"`
	Level   string `json:"level"`
	Promise string `json:"promise,omitempty"` // the engine's level whose order is checked, if Level is a peer
	Idle    bool   `json:"idle"`              // one message at a time; raw then means plain blocking sockets
	Size    int    `json:"size"`              // bytes of a message
	Members int    `json:"members"`
	Senders int    `json:"senders"` // members 0 to Senders-1 send
	Groups  int    `json:"groups"`  // messages go to so many groups in turn; 0 is one
	Self    int    `json:"self"`    // this member: its rank, if there is an engine
	Timing  Timing `json:"timing"`  // "" is OneWay

	Addrs []string `json:"addrs,omitempty"` // raw sends to each member here in the place of multicast: Opened.Addr, by Self
}

// Kind is how a phase sends.
type Kind string

// Kinds of phases.
const (
	Flood Kind = "flood" // closed loop: as fast as the level accepts, for Duration
	Paced Kind = "paced" // open loop: Count messages per sender, one each Every
	Lone  Kind = "lone"  // the same, stamped when sent and not when due
)

// Phase says how to send.
type Phase struct {
	Kind     Kind          `json:"kind"`
	Duration time.Duration `json:"duration,omitempty"`
	Warm     time.Duration `json:"warm,omitempty"` // of a flood: how long at its beginning, from the first delivery, is not measured
	Every    time.Duration `json:"every,omitempty"`
	Count    int           `json:"count,omitempty"`
}

// Reply answers a Request.
type Reply struct {
	Error    string         `json:"error,omitempty"` // it could not be done, and why
	Opened   *Opened        `json:"opened,omitempty"`
	Joined   *Joined        `json:"joined,omitempty"`
	Sent     uint64         `json:"sent,omitempty"`
	Measured *Measured      `json:"measured,omitempty"`
	Digests  []uint64       `json:"digests,omitempty"`
	Used     *kernel.Usage  `json:"used,omitempty"` // by this process since it began
	Breach   *check.Breach  `json:"breach,omitempty"`
	History  *check.History `json:"history,omitempty"`
	Health   *Health        `json:"health,omitempty"`
}

// Health is what a process holds; what the system does not tell is 0.
type Health struct {
	RSSBytes   int64 `json:"rss_bytes"` // resident memory, garbage given back
	Goroutines int   `json:"goroutines"`
	OpenFiles  int   `json:"open_files"` // descriptors
}

// Measured is what one member saw of one phase.
type Measured struct {
	Delivered     uint64        `json:"delivered"`
	Warm          uint64        `json:"warm,omitempty"`      // of those, before First: not measured
	First         int64         `json:"first"`               // time of the first delivery that is measured, ns of package clock
	Last          int64         `json:"last"`                // and of the last
	Used          kernel.Usage  `json:"used"`                // by this process, from First on if Warm
	Dropped       uint64        `json:"dropped"`             // packets, by a full receive buffer
	KernelDrops   *kernel.Drops `json:"drops,omitempty"`     // the same as UDP counts it in this network namespace; nil if it does not
	Retransmitted uint64        `json:"retransmitted"`       // packets
	Flow          *Flow         `json:"flow,omitempty"`      // passes in the phase, the window at the end of sending; nil: it has none
	Histogram     string        `json:"histogram,omitempty"` // latencies in ns, HdrHistogram V2 compressed, base64
	Breach        *check.Breach `json:"breach,omitempty"`    // messages that never came
}
