// Package core is the protocol of one member of one view as a pure state
// machine: packets, submissions and the time go in, packets and deliveries come
// out. It knows no socket, no clock, no goroutine and no randomness, so that the
// simulator runs the very code that the network runs.
//
// A driver turns it in this order, as often as there is something to do:
//
//	m.Receive(now, ...)  for each packet that has come
//	m.Submit(now, ...)   for each message that the program wants sent
//	m.Flush(now)         closes packets, orders, acknowledges, asks for repair
//	m.Output()           packets to send, then m.Recycle()
//	m.Deliver(sink, n)   messages that have become deliverable
//	m.Deadline()         when to turn again if nothing happens before
//
// The end of a view is in flush.go: Freeze, Fetch and Finish.
//
// Every member of the view has one stream of numbered packets. A stream is
// delivered strictly in its own order; what may hold its head back is a causal
// past that is not there yet, a place in the total order that is not known yet,
// or, for safe messages, rows that do not cover it yet. That is decided per
// packet, at the join of its messages' levels.
package core

import (
	"fmt"
	"math/bits"

	"cohort/flowctl"
	"cohort/internal/flaw"
	"cohort/membership"
	"cohort/order"
	"cohort/slab"
	"cohort/wire"
)

// Config is what a Machine needs to know beside its view.
type Config struct {
	Cluster   uint32 // cluster id on the wire
	Segment   int    // bytes of the largest packet, header and checksum included; 0: the view's
	HoldLimit int    // bytes received and not delivered past which senders are told to pause; 0: DefaultHoldLimit
	Heartbeat int64  // ns after which a row is sent though nothing happens; 0: flowctl.Heartbeat
	Flaws     flaw.Set
}

// DefaultHoldLimit is Config.HoldLimit if that is 0.
const DefaultHoldLimit = 32 << 20

// Limits of a Message.
const (
	MaxMessage = 16 << 20
	MaxKind    = 7
)

// Message is what is submitted beside the payload.
type Message struct {
	Group uint32
	Kind  uint8 // at most MaxKind; its meaning is the driver's
	Level order.Level
	Size  int // bytes of the whole payload, at most MaxMessage
}

// Delivery is one message handed to a Sink. It is reused: valid until the sink
// returns.
type Delivery struct {
	Sender  int    // rank of the sender in the view
	Packet  uint64 // number, in the sender's stream, of the packet that ended the message
	Pos     int    // where in that packet it ended it: see Machine.Position
	Group   uint32 // as submitted, like Kind and Level
	Kind    uint8
	Level   order.Level
	Payload []byte   // borrowed until the sink returns
	Slab    slab.Ref // the slab that Payload lies in, to pin; 0 if it was put together in memory of its own
	Keep    bool     // set by the sink where Slab is 0: Payload is the sink's for ever
}

// Sink takes deliveries, in order. It returns false to take no more for now: the
// same message is then the first that the next call of Machine.Deliver offers.
type Sink interface {
	Deliver(d *Delivery) bool
}

// Multicast as Out.To sends to the whole view.
const Multicast = -1

// Out is one train to send: Buf holds packets of Segment bytes each back to
// back, the last one possibly shorter. Buf is borrowed until Machine.Recycle.
type Out struct {
	To      int // rank, or Multicast
	Buf     []byte
	Segment int
	ref     slab.Ref
}

// Stats counts what a machine did since it was made.
type Stats struct {
	PacketsSent, PacketsReceived, BytesSent, BytesReceived uint64 // stream packets only
	MessagesSent, MessagesDelivered                        uint64
	RowsSent, RowsRiding, Records, NAKsSent, NAKsReceived  uint64
	Announcements, Duplicates                              uint64
	Retransmitted                                          uint64 // packets sent again, ours and others'
	Repaired                                               uint64 // packets that came after a later one
	BeyondWindow                                           uint64 // packets too far ahead, or beyond a hole while too much is held, to be kept
	Discarded                                              uint64 // packets of failed members whose causal past was lost with them
	BadPackets, BadChecksum, BadFrames                     uint64 // malformed; of these BadChecksum alone
	OtherVersion, OtherCluster, OtherView                  uint64 // not ours
	Pauses                                                 uint64 // times that this member asked senders to pause
	TokenPasses                                            uint64 // records learnt that gave the ordering token to another member
}

// Add adds another machine's counters.
func (s *Stats) Add(o *Stats) {
	s.PacketsSent += o.PacketsSent
	s.PacketsReceived += o.PacketsReceived
	s.BytesSent += o.BytesSent
	s.BytesReceived += o.BytesReceived
	s.MessagesSent += o.MessagesSent
	s.MessagesDelivered += o.MessagesDelivered
	s.RowsSent += o.RowsSent
	s.RowsRiding += o.RowsRiding
	s.Records += o.Records
	s.NAKsSent += o.NAKsSent
	s.NAKsReceived += o.NAKsReceived
	s.Announcements += o.Announcements
	s.Duplicates += o.Duplicates
	s.Retransmitted += o.Retransmitted
	s.Repaired += o.Repaired
	s.BeyondWindow += o.BeyondWindow
	s.Discarded += o.Discarded
	s.BadPackets += o.BadPackets
	s.BadChecksum += o.BadChecksum
	s.BadFrames += o.BadFrames
	s.OtherVersion += o.OtherVersion
	s.OtherCluster += o.OtherCluster
	s.OtherView += o.OtherView
	s.Pauses += o.Pauses
	s.TokenPasses += o.TokenPasses
}

// Machine is the protocol state of one member of one view. It is not safe for
// concurrent use.
type Machine struct {
	cfg     Config
	view    membership.View
	viewKey uint64
	local   bool // packets are of wire.LocalVersion
	self, n int
	pool    *slab.Pool
	stats   Stats

	streams   []stream
	rows      *order.Rows
	ledger    *order.Ledger
	delivered []uint64 // per sender: the last packet delivered
	allowed   []uint64 // per sender: total-order packets up to here are next
	totals    []uint64 // per sender: last total-order packet that may be ordered, its past being here
	past      []uint64 // join of the causal pasts of those
	stage     int      // the sender within the record in delivery

	window    *flowctl.Window
	acks      flowctl.Acks
	announce  flowctl.Announce
	rowNo     uint64
	told      uint64   // our ord as the others know it, by row or by our records
	rowNos    []uint64 // per member: number of its last row
	paused    uint64   // bit per member that asks for a pause
	sending   uint64   // bit per member that sent data lately
	acked     uint64   // own packets that the window has back
	drain     []uint64 // per sender: the last packet that it may have sent before it knew that this member sends
	asks      bool     // rows are to be asked for: the window of a beginning is closed
	again     bool     // what was delivered may end the pause that this member asks for
	held      int      // charged bytes of packets not delivered
	kept      int      // charged bytes of packets not forgotten
	keepMost  int      // past so many, senders are told to pause: all windows and what is held are less
	holdMost  int      // past so many, packets beyond a hole are not kept: no honest sender has more on the way
	safeWait  bool     // delivery stands at a safe message
	safeTotal bool     // safe total-order packets have come that our row does not cover yet
	unsettled bool     // something happened since settle was last called
	news      bool     // ... that came from outside, or was delivered
	made      []made   // by rank
	putOff    bool     // packets wait for room for their records
	putOffAt  uint64   // records that were known when the first of them came
	pack      packer
	out       []Out
	now       int64

	head     wire.Header // of the packet being received or closed: not copied, as in hand
	delivery Delivery
	spare    []byte // to put a large message together in; see partial.end
	frame    wire.Frame
	ranges   []wire.Range
	scratch  []byte
	cut      []uint64
	repeats  []entry // flaw.DuplicatesDelivered only

	heard []int64 // per member: when it last gave a sign of life, ns
	flush flush
}

// New returns the machine of the member with rank self in view v. The pool must
// belong to the same driver. The error names what is impossible in the view or
// the configuration.
func New(now int64, cfg Config, v membership.View, self int, pool *slab.Pool) (*Machine, error) {
	if err := v.Validate(); err != nil {
		return nil, err
	}
	n := len(v.Members)
	if self < 0 || self >= n {
		return nil, fmt.Errorf("core: rank %d, want 0 to %d", self, n-1)
	}
	if cfg.Segment == 0 {
		cfg.Segment = v.Segment()
	}
	if cfg.Segment < wire.MinSegment(n) || cfg.Segment > min(wire.MaxPacket, v.Segment()) {
		return nil, fmt.Errorf("core: segment of %d bytes, want %d to %d", cfg.Segment, wire.MinSegment(n), min(wire.MaxPacket, v.Segment()))
	}
	if cfg.HoldLimit == 0 {
		cfg.HoldLimit = DefaultHoldLimit
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = flowctl.Heartbeat
	}
	budget := v.RecvBuffer()
	m := &Machine{
		cfg: cfg, view: v, viewKey: v.Key(), local: v.Local(), self: self, n: n, pool: pool,
		streams: make([]stream, n), rows: order.NewRows(n), ledger: order.NewLedger(n, uint64(n)*streamCap),
		delivered: make([]uint64, n), allowed: make([]uint64, n), totals: make([]uint64, n), past: make([]uint64, n), drain: make([]uint64, n),
		window: flowctl.NewWindow(budget, n), acks: flowctl.NewAcks(now, budget, cfg.Heartbeat), announce: flowctl.NewAnnounce(),
		rowNos: make([]uint64, n), made: make([]made, n), now: now,
		holdMost: 2*cfg.HoldLimit + budget, keepMost: cfg.HoldLimit + budget,
		ranges: make([]wire.Range, 0, wire.MaxRanges), cut: make([]uint64, n),
		scratch: make([]byte, 0, wire.NAKSize), heard: make([]int64, n),
	}
	m.pack.dep, m.pack.depSent = make([]uint64, n), make([]uint64, n)
	m.pack.lone = 2*cfg.Segment > maxTrainBytes
	for s := range m.streams {
		m.streams[s] = newStream(n)
		m.heard[s] = now
	}
	return m, nil
}

// Stats returns the counters, by value.
func (m *Machine) Stats() Stats { return m.stats }

// Held returns the charged bytes of packets received and not delivered.
func (m *Machine) Held() int { return m.held }

// Window returns the charged bytes of this member's packets in flight, and how many
// there may be now.
func (m *Machine) Window() (inFlight, limit int) {
	return m.window.InFlight(), m.window.Limit(m.active())
}

// Position returns how much of a member's stream has been delivered: all packets
// before next, and of that one what lies before pos. A Delivery was among it if
// its Packet and Pos are less.
func (m *Machine) Position(rank int) (next uint64, pos int) {
	return m.streams[rank].next, m.streams[rank].pos
}

// Drained tells whether every member has all that was submitted, and it has been
// delivered here.
func (m *Machine) Drained() bool {
	own := &m.streams[m.self]
	return !m.pack.open && !m.pack.partial && m.rows.Stable(m.self) >= own.rcv && own.next > own.rcv
}

// View returns the machine's view.
func (m *Machine) View() membership.View { return m.view }

// Known returns how many records of the total order are known: as far as they go, the order is
// the same at every member, whatever the view is followed by.
func (m *Machine) Known() uint64 { return m.ledger.Known() }

// Holder returns the rank that holds the ordering token, as far as known here.
func (m *Machine) Holder() int { return m.ledger.Holder() }

// Deadline returns the time, ns, at which Flush must be called at the latest.
func (m *Machine) Deadline() int64 {
	if m.flush.frozen {
		return m.frozenDeadline()
	}
	if m.again {
		return m.now
	}
	due := min(m.acks.Due(), m.announce.Due())
	for s := range m.streams {
		due = min(due, m.streams[s].gap.Due())
	}
	return due
}

// settle draws the conclusions from all that came in since it was last called:
// what is stable, what can be ordered, what can be forgotten.
func (m *Machine) settle() {
	m.takeUp()
	for s := range m.streams {
		m.scan(s)
	}
	m.unsettled, m.news = false, false
	if t := m.ledger.Arrived(m.rows.Rcv(m.self)); t > m.rows.Ord(m.self) {
		m.rows.CanOrder(m.self, t)
		m.ackSafeTotals()
	}
	stable := m.rows.Stable(m.self)
	m.rows.Settle()
	m.giveBack()
	for s := range m.streams {
		m.forget(s)
	}
	m.countActive()
	switch own := &m.streams[m.self]; {
	case m.rows.Stable(m.self) == own.rcv && !m.safeWait && m.paused == 0:
		m.announce.Idle()
	case m.rows.Stable(m.self) > stable:
		m.announce.Progress(m.now)
	default:
		m.announce.Wait(m.now)
	}
	m.considerPause()
}

// ackSafeTotals sends the row at once if it now covers a safe total message:
// others count members that can carry out the order up to it.
func (m *Machine) ackSafeTotals() {
	if !m.safeTotal {
		return
	}
	if m.rows.Ord(m.self) > m.told {
		m.acks.Now(m.now)
	}
	m.safeTotal = false
	cut := m.ledger.Last()
	for s := range m.streams {
		m.safeTotal = m.safeTotal || m.streams[s].safeTotal > cut[s]
	}
	m.safeTotal = m.safeTotal || m.rows.Ord(m.self) < m.ledger.Known()
}

// Sending returns the ranks, as bits, of members that sent data lately.
func (m *Machine) Sending() uint64 { return m.sending }

// active returns how many members share the window: those that sent lately, and this one.
func (m *Machine) active() int { return bits.OnesCount64(m.sending | 1<<m.self) }

// countActive finds out who has sent lately.
func (m *Machine) countActive() {
	m.sending = 0
	for s := range m.streams {
		if s == m.self && m.window.Sends(m.now) || s != m.self && m.streams[s].heard > m.now-flowctl.ActiveFor {
			m.sending |= 1 << s
		}
	}
}

// considerPause asks the senders to pause, or to go on, by what has been
// received and not delivered, and by what is kept for others: a member whose row
// has come to the sender and not to here would else have this one keep all that
// is sent, and run out of places for what a cut may ask of it.
func (m *Machine) considerPause() {
	paused := m.paused>>m.self&1 != 0
	most := uint64(0)
	for s := range m.streams {
		most = max(most, m.streams[s].rcv+1-m.streams[s].low)
	}
	limit, keep, packets := m.cfg.HoldLimit, m.keepMost, uint64(streamCap/2)
	if paused { // go on only when there is room worth waking everyone for
		limit, keep, packets = limit/2, keep/2, packets/2
	}
	if over := m.held > limit || m.kept > keep || most > packets; over != paused {
		m.paused ^= 1 << m.self
		m.acks.Now(m.now)
		if over {
			m.stats.Pauses++
		}
	}
}
