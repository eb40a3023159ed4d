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
package core

import (
	"cohort/internal/flaw"
	"cohort/membership"
	"cohort/order"
	"cohort/slab"
)

// Config is what a Machine needs to know beside its view. Times are ns.
type Config struct {
	Cluster   uint32 // cluster id on the wire
	Segment   int    // bytes of the largest packet, header and checksum included; 0: the view's
	HoldLimit int    // bytes received and not delivered past which senders are told to pause
	Flaws     flaw.Set
}

// Delivery is one message handed to a Sink. It is reused: valid until Deliver
// returns.
type Delivery struct {
	Sender  int         // rank of the sender in the view
	Group   uint32      // as submitted
	Kind    uint8       // as submitted; its meaning is the driver's
	Level   order.Level // as submitted
	Payload []byte      // borrowed until the sink returns
	Slab    slab.Ref    // the slab that Payload lies in, to pin; 0 if it lies in memory of its own
	Packet  uint64      // number, in the sender's stream, of the packet that ended the message
}

// Sink takes deliveries, in order. It returns false to take no more for now: the
// same message is then the first that the next call of Machine.Deliver offers.
type Sink interface {
	Deliver(d *Delivery) bool
}

// Message is what is submitted beside the payload.
type Message struct {
	Group uint32
	Kind  uint8 // at most MaxKind
	Level order.Level
	Size  int // bytes of the whole payload, at most MaxMessage
}

// Limits of a Message.
const (
	MaxMessage = 16 << 20
	MaxKind    = 7
)

// Multicast as Out.To sends to the group.
const Multicast = -1

// Out is one train to send: Buf holds packets of Segment bytes each back to
// back, the last one possibly shorter. Buf is borrowed until Machine.Recycle.
type Out struct {
	To      int // rank, or Multicast
	Buf     []byte
	Segment int
}

// New returns the machine of the member with rank self in view v. The pool must
// belong to the same driver. It returns an error if the view or the
// configuration is impossible.
func New(cfg Config, v membership.View, self int, pool *slab.Pool) (*Machine, error)

// Receive takes one packet, b, which lies in slab ref (referenced by the
// caller for the length of the call; the machine takes references of its own).
// Bytes from the network are hostile: a bad packet is counted and dropped.
func (m *Machine) Receive(now int64, b []byte, ref slab.Ref)

// Submit packs a message, or the next part of one, into packets. part is the
// payload that was not taken yet, borrowed for the call. It returns how many
// bytes were taken and whether the message is complete; when it is not, the
// window is closed and the call must be repeated with the rest, before any other message.
func (m *Machine) Submit(now int64, msg Message, part []byte) (taken int, done bool)

// Abort ends a message of which Submit took only a part: no member delivers it.
func (m *Machine) Abort(now int64)

// Flush ends the turn: see the package comment.
func (m *Machine) Flush(now int64)

// Output returns what is to be sent, in order. Valid until Recycle.
func (m *Machine) Output() []Out

// Recycle takes back what Output returned.
func (m *Machine) Recycle()

// Deliver hands deliverable messages to sink until there are none, the sink
// refuses one, or the packet in which the limit is reached is finished. It
// returns the number delivered.
func (m *Machine) Deliver(sink Sink, limit int) int

// Deadline returns the time, ns, at which Flush must be called at the latest;
// math.MaxInt64 if only input can change anything.
func (m *Machine) Deadline() int64
