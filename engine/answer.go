package engine

import (
	"context"
	"encoding/binary"
	"fmt"

	"cohort/core"
	"cohort/groups"
)

// replyHead and askHead are the bytes before a reply's and a question's payload.
const (
	replyHead = 16
	askHead   = 8
)

// declined marks the question's number in a reply that is null. An engine that does
// not know of it takes it for a question that it did not ask.
const declined = 1 << 63

// Answer is what a member owes to a question. It is valid after the handler has
// returned, and its methods may be called from any goroutine. The first one called
// counts, and others have no effect. Whoever never calls any of them has a question that
// wants All wait until its context ends.
//
// Errors of the methods wrap ErrConfig if nobody waits for an answer to the message, and
// else those of Send.
type Answer struct {
	group    *Group
	to       uint64
	question uint64
	instead  func(payload []byte) error // see Message.AnswerTo
}

// Reply sends the answer; payload, of 0 to MaxMessage-16 bytes, is the caller's again
// when it returns. The answer takes its place in this member's FIFO stream, not in the
// total order.
func (a Answer) Reply(payload []byte) error {
	if a.instead != nil {
		return a.instead(payload)
	}
	return a.send(a.question, payload)
}

// Decline sends a null reply: this member will not answer, and nobody need wait for it.
// Where answers go elsewhere by Message.AnswerTo, it does nothing.
func (a Answer) Decline() error {
	if a.instead != nil {
		return nil
	}
	return a.send(a.question|declined, nil)
}

func (a Answer) send(question uint64, payload []byte) error {
	g := a.group
	if g == nil {
		return fmt.Errorf("engine: %w: a reply to a message that was not asked", ErrConfig)
	}
	if g.parting.Set() {
		return g.notIn()
	}
	return g.besideLeave(g.node.send(context.Background(), true, pack(g.slot, FIFO, kindReply), a.append(question, payload)))
}

// append returns the reply as it is sent.
func (a Answer) append(question uint64, payload []byte) []byte {
	b := make([]byte, 0, replyHead+len(payload))
	b = binary.LittleEndian.AppendUint64(b, a.to)
	b = binary.LittleEndian.AppendUint64(b, question)
	return append(b, payload...)
}

// Asked tells whether the sender waits for a reply.
func (m *Message) Asked() bool { return m.asked }

// Answer returns the answer to the message, to be given now or later.
func (m *Message) Answer() Answer {
	if m.answerTo != nil {
		return Answer{instead: m.answerTo}
	}
	if !m.asked {
		return Answer{}
	}
	return Answer{group: m.group, to: m.From().ID, question: m.question}
}

// AnswerTo has answers to the message go to f instead of its sender, and Asked be true:
// for a handler that stands before another's. The payload that f gets is borrowed until
// it returns.
func (m *Message) AnswerTo(f func(payload []byte) error) { m.asked, m.answerTo = true, f }

// Reply answers the message's sender: see Answer.Reply.
func (m *Message) Reply(payload []byte) error { return m.Answer().Reply(payload) }

// Decline tells the message's sender that this member will not answer, as a standby
// does: see Answer.Decline.
func (m *Message) Decline() error { return m.Answer().Decline() }

// Later returns what Reply does, for an answer after the handler has returned, from
// any goroutine: it is Answer().Reply.
func (m *Message) Later() (reply func(payload []byte) error) { return m.Answer().Reply }

// reply takes an answer off the ring if it is for this node.
func (n *Node) reply(d *core.Delivery) {
	if len(d.Payload) < replyHead || binary.LittleEndian.Uint64(d.Payload) != n.proc.Self().ID {
		return
	}
	t := n.roster.Table.Get(d.Group)
	if t == nil || t.Local == nil {
		return
	}
	question := binary.LittleEndian.Uint64(d.Payload[8:])
	from := n.view().Members[d.Sender].ID
	t.Local.asks.reply(question&^declined, from, question&declined != 0, d.Payload[replyHead:])
}

// decline is for a question that this member's handler never gets, since the state
// that it has been given, or will be, contains it already. On the loop only; while the
// ring cannot go on it waits.
func (n *Node) decline(g *Group, k *groups.Record) {
	if k.Mark != groups.Message || k.Kind != kindAsk || len(k.Payload) < askHead {
		return
	}
	a := Answer{group: g, to: k.Sender, question: binary.LittleEndian.Uint64(k.Payload)}
	n.backlog.own(pack(g.slot, FIFO, kindReply), a.append(a.question|declined, nil), n.submits.End())
}
