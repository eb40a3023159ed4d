package engine

import (
	"context"
	"encoding/binary"
	"fmt"

	"cohort/core"
)

// Message is a message being delivered. It is reused: valid until the handler returns.
type Message struct {
	Sender  int // rank of its sender in the ring's view
	Level   Level
	Payload []byte // borrowed until the handler returns

	node     *Node
	group    *Group
	delivery *core.Delivery // nil if the payload lies in a queue
	question uint64         // of an Ask
	asked    bool
}

// Group returns the group that the message was sent to.
func (m *Message) Group() *Group { return m.group }

// retainWhole is the payload, bytes, from which on the slab that it lies in is
// kept instead of a copy: a quarter of the slab, so that three more are the most lost.
const retainWhole = 16 << 10

// Retain returns the payload as a slice that stays valid and unchanged for ever.
// Small payloads are copied; large ones are taken over together with the packet
// memory that they lie in. Do not write to it.
func (m *Message) Retain() []byte {
	d := m.delivery
	switch {
	case d != nil && d.Slab == 0:
		d.Keep = true
		return m.Payload
	case d != nil && len(m.Payload) >= retainWhole:
		m.node.pool.Pin(d.Slab)
		return m.Payload[:len(m.Payload):len(m.Payload)]
	}
	return append([]byte(nil), m.Payload...)
}

// Asked tells whether the sender waits for a reply.
func (m *Message) Asked() bool { return m.asked }

// Reply answers the message's sender, which used Ask; payload is the caller's
// again when Reply returns. The answer takes its place in this member's FIFO
// stream, not in the total order. A member may reply more than once: each counts.
// Replying to a message that nobody waits for is an error.
func (m *Message) Reply(payload []byte) error {
	if !m.asked {
		return fmt.Errorf("engine: %w: a reply to a message that was not asked", ErrConfig)
	}
	b := make([]byte, 0, replyHead+len(payload))
	b = append(b, byte(m.Sender))
	b = binary.LittleEndian.AppendUint64(b, m.question)
	return m.group.submit(context.Background(), true, FIFO, kindReply, append(b, payload...))
}

// replyHead and askHead are the bytes before a reply's and a question's payload.
const (
	replyHead = 9
	askHead   = 8
)

// Deliver takes a message from the machine: it is the machine's sink.
func (n *Node) Deliver(d *core.Delivery) bool {
	switch d.Kind {
	case kindControl:
		return n.control(d)
	case kindReply:
		n.reply(d)
		return true
	}
	if int(d.Group) >= len(n.groups.byID) {
		return true // not a group: its sender is broken
	}
	g := n.groups.byID[d.Group].local
	if g == nil {
		return true
	}
	m := &n.message
	m.Sender, m.Level, m.Payload, m.group, m.delivery, m.asked = d.Sender, d.Level, d.Payload, g, d, false
	if d.Kind == kindAsk {
		if len(d.Payload) < askHead {
			return true
		}
		m.asked, m.question, m.Payload = true, binary.LittleEndian.Uint64(d.Payload), d.Payload[askHead:]
	}
	if g.queue != nil {
		return g.queue.offer(m)
	}
	g.handler.Deliver(m)
	return true
}
