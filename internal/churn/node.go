package churn

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"cohort/core"
	"cohort/groups"
	"cohort/membership"
	"cohort/order"
	"cohort/process"
	"cohort/site"
	"cohort/slab"
)

const segment = 1472

// node is one process, or what is left of it. Who crashes and is started again, or
// is expelled and comes back, remains the same node in another life.
type node struct {
	w         *world
	number    int    // counts nodes from 0
	id        uint64 // of the present life
	lives     int
	pool      *slab.Pool
	proc      *process.Process
	in        *view
	dead      bool
	leaving   bool
	stalled   int64 // until
	inbox     []func()
	waiting   []*message
	offered   int // bytes of waiting[0] that the machine has
	offeredIn *view
	active    *message // waiting[0], once it is being sent
	sent      []*message
	roster    *groups.Roster[*local]
	joined    map[string]*local // groups, by name
	fence     bool              // a fence is to be sent before the next message
	offers    []*offer
	starts    int // of processes, less than lives
	conns     []*conn
	dials     []*dial
	turnAt    int64
}

func (p *node) String() string { return fmt.Sprintf("%d'%d", p.number, p.lives) }

// spawn adds a node and starts it.
func (w *world) spawn() *node {
	p := &node{w: w, number: len(w.all)}
	w.all = append(w.all, p)
	p.start()
	return p
}

// start begins a life as a new process.
func (p *node) start() {
	w := p.w
	p.anew()
	p.dead, p.stalled, p.turnAt, p.inbox = false, 0, membership.Never, nil
	p.starts++
	p.roster, p.joined, p.fence, p.offers = groups.NewRoster[*local](), map[string]*local{}, false, nil
	p.join(mainName)
	p.pool = slab.NewPool()
	w.say("%v starts", p)
	p.proc = process.New(w.now, process.Config{
		Site: site.Config{
			Core:  core.Config{HoldLimit: 1 << 20},
			Rules: membership.Rules{Timeout: w.s.Timeout, Lone: w.s.Lone, Flaws: w.flaws},
		},
		Expect: w.s.Expect, Discovery: w.s.Discovery,
	}, p.member(), p.pool)
	p.wake(w.now)
}

// anew gives p the identity of a new member, which is in no view.
func (p *node) anew() {
	p.lives++
	p.id = uint64(p.number)<<16 | uint64(p.lives) | 1<<32
	p.w.ids[p.id] = p
	p.in, p.waiting, p.offered, p.offeredIn, p.active = nil, nil, 0, nil, nil
}

func (p *node) member() membership.Member {
	return membership.Member{
		ID: p.id, Since: p.w.now, Name: p.String(), RecvBuffer: 1 << 20, Segment: segment,
		Addr: netip.MustParseAddrPort("10.0.0.1:1"), Control: netip.MustParseAddrPort("10.0.0.1:1"),
	}
}

// crash ends p's life.
func (p *node) crash() {
	p.w.say("%v crashes", p)
	p.w.tear(p)
	p.dead, p.leaving, p.inbox = true, false, nil
}

// take does something in p's next turn.
func (p *node) take(do func()) {
	if p.dead {
		return
	}
	p.inbox = append(p.inbox, do)
	p.wake(p.w.now)
}

// wake gives p a turn at a time, or when it does not stand still any more.
func (p *node) wake(at int64) {
	at = max(at, p.w.now, p.stalled)
	if at >= p.turnAt || p.dead {
		return
	}
	p.turnAt = at
	p.w.at(at, func() {
		if p.turnAt == at {
			p.turn()
		}
	})
}

// stall has p stand still until a time.
func (p *node) stall(until int64) {
	p.stalled = max(p.stalled, until)
	p.turnAt = membership.Never
	p.wake(p.stalled)
}

// turn is one turn of the loop in package engine.
func (p *node) turn() {
	w := p.w
	p.turnAt = membership.Never
	if p.dead {
		return
	}
	if p.stalled > w.now {
		p.wake(p.stalled)
		return
	}
	inbox := p.inbox
	p.inbox = nil
	for _, do := range inbox {
		do()
	}
	p.seekRoster()
	for first := true; w.h.violation == nil; first = false {
		if !first && w.s.Slow > 0 {
			p.wake(w.now + w.dice.Int64N(w.s.Slow))
			return
		}
		p.submit()
		p.proc.Flush(w.now)
		p.transmit()
		before, batch := p.in, 64
		if w.s.Slow > 0 {
			batch = 1
		}
		n := p.proc.Deliver(w.now, p, batch)
		p.showGroups()
		p.transmit()
		if p.proc.Out() {
			if p.away(); p.dead {
				return
			}
		} else if n == 0 && p.in == before {
			break
		}
	}
	p.wake(min(p.proc.Deadline(), p.roster.Due()))
}

// enqueue has p send a message.
func (p *node) enqueue(m *message) {
	m.index = len(p.sent)
	p.sent = append(p.sent, m)
	m.size = max(m.size, len(m.body()))
	p.waiting = append(p.waiting, m)
	p.wake(p.w.now)
}

// submit offers the machine what the program has sent.
func (p *node) submit() {
	for p.fetch() {
		m := p.waiting[0]
		if p.offeredIn != p.in {
			p.offered, p.offeredIn = 0, p.in
		}
		if p.offered == 0 {
			p.w.h.begin(m)
		}
		msg := core.Message{Level: m.level, Kind: m.kind, Group: m.number, Size: m.size}
		taken, done := p.proc.Submit(p.w.now, msg, m.payload()[p.offered:])
		p.offered += taken
		if !done {
			return
		}
		p.w.h.sent(m)
		p.waiting, p.offered, p.active = p.waiting[1:], 0, nil
	}
}

// fetch makes the next message the one being sent. Messages to a group that p is
// not in, or not again yet, are passed over.
func (p *node) fetch() bool {
	for len(p.waiting) > 0 && p.in != nil && p.roster.Known() {
		m := p.waiting[0]
		switch {
		case m == p.active:
			return true
		case p.fence:
			p.fence = false
			m = &message{from: p, level: order.Causal, kind: control}
			p.enqueue(m)
			p.waiting = slices.Insert(p.waiting[:len(p.waiting)-1], 0, m)
		case !p.address(m):
			p.waiting = p.waiting[1:]
			continue
		}
		p.submitting(m)
		p.active = m
		return true
	}
	return false
}

// headSize is the part of a message that tells which it is, bytes.
const headSize = 8

func (m *message) body() []byte {
	b := make([]byte, headSize, headSize+64)
	binary.LittleEndian.PutUint32(b, uint32(m.from.number))
	binary.LittleEndian.PutUint32(b[4:], uint32(m.index))
	if m.op != nil {
		b = m.op.Append(b)
	}
	return b
}

func (m *message) payload() []byte {
	b := m.body()
	return append(b, make([]byte, m.size-len(b))...)
}

// transmit puts on the network what is to be sent, and sees to the connections.
func (p *node) transmit() {
	w := p.w
	for _, o := range p.proc.Output() {
		for b := o.Buf; len(b) > 0; {
			n := min(o.Segment, len(b))
			packet := append([]byte(nil), b[:n]...)
			b = b[n:]
			for _, q := range w.all {
				if q != p && (o.Member == nil || w.ids[o.Member.ID] == q) {
					w.packet(p, q, packet)
				}
			}
		}
	}
	p.proc.Recycle()
	for _, b := range p.proc.Beacons() {
		body := b.Append(nil)
		for _, q := range w.all {
			if q != p {
				w.beacon(p, q, b.Kind, body)
			}
		}
	}
	for _, l := range p.proc.Letters() {
		w.say("%v => %v  %v %d.%d", p, w.ids[l.To], l.Kind, l.Ballot>>8, l.Ballot.Rank())
		w.letter(p, l.To, l.Letter.Append(nil))
	}
	for _, l := range p.proc.Links() {
		if l.Dial {
			w.dial(p, l.Peer)
		} else {
			w.hangup(p, l.Peer)
		}
	}
}

// read takes a letter.
func (p *node) read(from uint64, body []byte) {
	w := p.w
	l, err := membership.ParseLetter(body)
	if err != nil {
		w.h.fail("NoPanic", "%v cannot read a letter: %v", p, err)
		return
	}
	if l.Kind == membership.WantState || l.Kind == membership.State {
		posts, err := p.roster.Letter(from, l, p.proc.Finishing())
		p.mail(posts, err)
		return
	}
	p.proc.Letter(w.now, from, l)
}

// Deliver takes a message from p's process.
func (p *node) Deliver(d *core.Delivery) bool {
	w := p.w
	from, index := int(binary.LittleEndian.Uint32(d.Payload)), int(binary.LittleEndian.Uint32(d.Payload[4:]))
	if from >= len(w.all) || index >= len(w.all[from].sent) {
		w.h.fail("Integrity", "%v delivers what nobody sent: %d.%d", p, from, index)
		return true
	}
	m := w.all[from].sent[index]
	w.h.deliver(p, m)
	p.dispatch(d, m)
	return true
}

// View takes a change from p's process.
func (p *node) View(c site.Change) {
	w, key := p.w, c.Next.Key()
	if w.s.Lone && len(c.Next.Members) == 0 {
		key = p.id // it may have left alone, and others too
	}
	switch {
	case c.Blocked:
		w.say("%v is blocked in view %d", p, c.Old.Num)
		w.res.Blocked++
		p.blockGroups()
	case c.Out:
		w.say("%v is out of view %d: %v, gone %v", p, c.Old.Num, why(c.Why), c.Gone)
		switch c.Why {
		case membership.Left:
			w.res.Left++
			w.h.leave(p, key)
		case membership.Merged:
			w.res.Merged++
			w.h.leave(p, key)
		default:
			w.res.Expelled++
		}
		p.outOfGroups()
	case len(c.Old.Members) == 0:
		w.say("%v enters view %d of %d of ring %016x", p, c.Next.Num, len(c.Next.Members), c.Next.Ring)
		w.res.Entered++
		w.h.install(p, c.Next)
		p.enterGroups()
	default:
		w.say("%v goes to view %d of %d, gone %v", p, c.Next.Num, len(c.Next.Members), c.Gone)
		w.res.Discarded += c.Discarded
		w.h.leave(p, key)
		w.h.install(p, c.Next)
		p.passGroups(c)
	}
}

func why(r membership.Reason) string {
	if r == 0 {
		return "the ring has gone on without it"
	}
	return r.String()
}

// away ends p's membership: one that left is gone, any other comes back.
func (p *node) away() {
	w := p.w
	w.hangupAll(p)
	if p.leaving {
		p.dead, p.leaving = true, false
		return
	}
	p.anew()
	w.say("%v looks for a ring again", p)
	p.proc.Reborn(w.now, p.id)
}
