package engine

import (
	"encoding/binary"

	"cohort/core"
	"cohort/membership"
)

// Message is a message being delivered. It is reused: valid until the handler returns.
type Message struct {
	Sender  int // rank of its sender in the group's view
	Level   Level
	Payload []byte // borrowed until the handler returns

	node     *Node
	group    *Group
	view     *GroupView
	delivery *core.Delivery // nil if the payload does not lie in packet memory
	whole    []byte         // of an Ask: payload with the question's number before it
	question uint64         // of an Ask
	asked    bool
	answerTo func(payload []byte) error // instead of the sender
}

// From returns the message's sender.
func (m *Message) From() membership.Member { return m.view.Members[m.Sender] }

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

// deliver takes a message from the protocol.
func (n *Node) deliver(d *core.Delivery) bool {
	switch d.Kind {
	case kindControl:
		n.control(d)
		return true
	case kindReply:
		n.reply(d)
		return true
	}
	t := n.recent // most messages are for the same group as the one before
	if t == nil || t.ID != d.Group {
		if t = n.roster.Table.Get(d.Group); t == nil {
			return true
		}
		n.recent = t
	}
	g := t.Local
	if g == nil {
		return true
	}
	if g.restore != nil {
		return g.restore.keep(n, d)
	}
	if g.mute || t.Members>>d.Sender&1 == 0 {
		return true // it has no state, and is being left; or the sender is broken
	}
	return n.hand(g, t.Rank(d.Sender), d.Level, d.Kind, d.Payload, d)
}

// hand gives a message to the group's handler or queue; false if that has no room. d
// is nil if the payload does not lie in packet memory.
func (n *Node) hand(g *Group, sender int, l Level, kind uint8, payload []byte, d *core.Delivery) bool {
	m := &n.message
	m.Sender, m.Level, m.Payload, m.group, m.delivery, m.asked, m.answerTo = sender, l, payload, g, d, false, nil
	if kind == kindAsk {
		if len(payload) < askHead {
			return true
		}
		m.asked, m.whole, m.question, m.Payload = true, payload, binary.LittleEndian.Uint64(payload), payload[askHead:]
	}
	if g.queue != nil {
		if !g.queue.offer(m) {
			return false
		}
		n.stats.groups.counts[g.counter]++
		return true
	}
	n.stats.groups.counts[g.counter]++
	m.view = &g.view
	g.handler.Deliver(m)
	return true
}
