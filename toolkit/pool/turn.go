package pool

import (
	"fmt"

	"cohort/engine"
	"cohort/membership"
)

// Turn is a message that a worker processes, with its place in the order of delivery.
// It is reused: valid until the handler returns.
type Turn struct {
	Num     uint64 // of the message: counts what the group delivers, from 1
	Sender  int    // rank of its sender in the group's view
	From    membership.Member
	Level   engine.Level
	Payload []byte // borrowed until the handler returns

	pool    *Pool
	size    int
	entered bool
	kept    bool          // the payload is the application's
	come    chan struct{} // buffered; told that it is the message's turn, if it waits
	reply   func(payload []byte) error
}

func (t *Turn) set(p *Pool, num uint64, m *engine.Message) {
	t.Num, t.Sender, t.From, t.Level = num, m.Sender, m.From(), m.Level
	t.Payload = append(t.Payload[:0], m.Payload...)
	t.pool, t.size, t.entered, t.kept, t.reply = p, len(m.Payload), false, false, nil
	if m.Asked() {
		t.reply = m.Later()
	}
	if t.come == nil {
		t.come = make(chan struct{}, 1)
	}
}

// drop forgets what is not to be kept for the next message.
func (t *Turn) drop() {
	if t.kept || cap(t.Payload) > keepBuffer {
		t.Payload = nil
	}
	t.reply = nil
}

// Enter runs f when all messages that were delivered before this one have had their
// turn, or have given it up, and before any later one has it: one after the other, in
// delivery order. Panics if it is called for the second time.
func (t *Turn) Enter(f func()) {
	if t.entered {
		panic(fmt.Sprintf("pool: Enter for the second time in turn %d", t.Num))
	}
	p := t.pool
	p.mu.Lock()
	mine := p.sched.enter(t.Num)
	p.mu.Unlock()
	if !mine {
		<-t.come
	}
	t.entered = true
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pass(t)
	}()
	f()
}

// Retain returns the payload as a slice that stays valid and unchanged for ever,
// without another copy. Do not write to it.
func (t *Turn) Retain() []byte {
	t.kept = true
	return t.Payload[:len(t.Payload):len(t.Payload)]
}

// Asked tells whether the sender waits for a reply.
func (t *Turn) Asked() bool { return t.reply != nil }

// Reply answers the message's sender; see engine.Message.Reply.
func (t *Turn) Reply(payload []byte) error {
	if t.reply == nil {
		return fmt.Errorf("pool: %w: a reply to a message that was not asked", engine.ErrConfig)
	}
	return t.reply(payload)
}
