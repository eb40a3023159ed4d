package churn

import (
	"slices"

	"cohort/membership"
	"cohort/wire"
)

// This file is the network: packets and beacons, which may be lost, and the
// connections of package control, which bring letters in order.

// Times of connections, as package control has them, ns.
const (
	dialTimeout   = 1000 * milli
	hangupTimeout = 200 * milli // how long what was written before a hangup may still arrive
)

// cut is a time in which those whose bit is in side and the others do not hear each other.
type cut struct {
	side  uint64
	until int64
}

// apart tells whether a cut is between p and q now.
func (w *world) apart(p, q *node) bool { return w.healed(p, q) > w.now }

// healed returns when the cuts end that are between p and q now.
func (w *world) healed(p, q *node) (at int64) {
	for _, c := range w.cuts {
		if c.side>>(p.number%8)&1 != c.side>>(q.number%8)&1 {
			at = max(at, c.until)
		}
	}
	return at
}

// latency returns when what is sent now arrives.
func (w *world) latency() int64 {
	at := w.now + w.s.Delay
	if w.s.Jitter > 0 {
		at += w.dice.Int64N(w.s.Jitter)
	}
	return at
}

// datagram brings a packet, if it is not lost.
func (w *world) datagram(p, q *node, do func()) {
	lost, twice := w.dice.Float64() < w.s.Loss, w.dice.Float64() < w.s.Dup
	calm := w.now >= started+w.s.Calm
	if w.apart(p, q) || lost && !calm || q.dead {
		return
	}
	copies := 1
	if twice && !calm {
		copies = 2
	}
	for range copies {
		w.at(w.latency(), func() {
			if !q.dead {
				q.take(do)
			}
		})
	}
}

func (w *world) packet(p, q *node, packet []byte) {
	w.datagram(p, q, func() {
		ref := q.pool.Get()
		copy(q.pool.Bytes(ref), packet)
		q.proc.Train(w.now, ref, 0, len(packet), len(packet)) // of one packet
		q.pool.Release(ref)
	})
}

func (w *world) beacon(p, q *node, kind wire.Kind, body []byte) {
	w.datagram(p, q, func() {
		b, err := membership.ParseBeacon(kind, body)
		if err != nil {
			w.h.fail("NoPanic", "%v cannot read a beacon: %v", q, err)
			return
		}
		q.proc.Beacon(w.now, b)
	})
}

// dial is an attempt to make a connection.
type dial struct {
	from, to uint64
	made     uint64 // counts the dials and connections of a run
}

// conn is a connection. Index 0 of its arrays is who dialled.
type conn struct {
	ends  [2]end
	made  uint64
	lines [2]line // by the end that they lead to
}

// end is what one side has of a connection.
type end struct {
	node *node
	id   uint64
	up   bool
}

// line is one direction of a connection: what is under way on it, in order.
type line struct {
	last  int64 // when the last of it arrives
	queue []delivery
	hung  int64 // when its writer hung up; 0: it has not
	torn  bool  // its writer crashed, and what it had written last is lost with it
}

type delivery struct {
	letter bool
	do     func()
}

// conn returns the connection with a peer and which end of it is p's; nil if there is none.
func (p *node) conn(peer uint64) (*conn, int) {
	for _, c := range p.conns {
		for i := range c.ends {
			if c.ends[i].node == p && c.ends[i].id == p.id && c.ends[1-i].id == peer {
				return c, i
			}
		}
	}
	return nil, 0
}

func (p *node) dialling(peer uint64) *dial {
	if i := slices.IndexFunc(p.dials, func(d *dial) bool { return d.to == peer }); i >= 0 {
		return p.dials[i]
	}
	return nil
}

// giveUp ends a dial; false if it has ended already.
func (p *node) giveUp(d *dial) bool {
	i := slices.Index(p.dials, d)
	if i >= 0 {
		p.dials = slices.Delete(p.dials, i, i+1)
	}
	return i >= 0
}

// dial begins to connect p to a peer, unless it is connected or being dialled.
func (w *world) dial(p *node, peer uint64) {
	if c, _ := p.conn(peer); c != nil || p.dialling(peer) != nil {
		return
	}
	w.made++
	d := &dial{p.id, peer, w.made}
	p.dials = append(p.dials, d)
	fail := func() { p.take(func() { w.dialFailed(p, d) }) }
	w.at(w.now+dialTimeout, fail)
	q := w.ids[peer]
	if q == nil {
		w.h.fail("NoPanic", "%v dials %016x, whom nobody knows", p, peer)
		return
	}
	w.carry(p, q, w.latency(), func() {
		if q.dead || q.id != peer {
			w.carry(q, p, w.latency(), fail)
			return
		}
		q.take(func() { w.accept(q, p, d) })
	})
}

func (w *world) dialFailed(p *node, d *dial) {
	if p.giveUp(d) {
		w.say("%v cannot connect to %v", p, w.ids[d.to])
		p.proc.Disconnected(w.now, d.to)
	}
}

// carry does something at a time, or when the link has healed.
func (w *world) carry(p, q *node, at int64, do func()) {
	w.at(at, func() {
		if healed := w.healed(p, q); healed > w.now {
			w.carry(p, q, healed+w.s.Delay, do)
		} else {
			do()
		}
	})
}

// accept answers p's dial. When both dial at once, the dial of the greater identity
// goes first; a newer dial of a peer replaces what connection there is to it.
func (w *world) accept(q, p *node, d *dial) {
	if q.id != d.to {
		w.carry(q, p, w.latency(), func() { p.take(func() { w.dialFailed(p, d) }) })
		return
	}
	if own := q.dialling(d.from); own != nil {
		if q.id > d.from {
			return // q's own dial is on its way, and ends this one
		}
		q.giveUp(own)
	}
	if old, i := q.conn(d.from); old != nil {
		if d.made < old.made {
			return
		}
		w.lose(old, i)
	}
	w.made++
	c := &conn{ends: [2]end{{p, d.from, false}, {q, d.to, true}}, made: w.made}
	q.conns = append(q.conns, c)
	q.proc.Connected(w.now, d.from)
	w.send(c, 1, delivery{do: func() { w.dialled(p, c, d) }})
}

// dialled takes the answer to a dial.
func (w *world) dialled(p *node, c *conn, d *dial) {
	if !p.giveUp(d) {
		w.send(c, 0, delivery{do: func() { w.lose(c, 1) }})
		return
	}
	w.say("%v is connected to %v", p, c.ends[1].node)
	c.ends[0].up = true
	p.conns = append(p.conns, c)
	p.proc.Connected(w.now, d.to)
}

// send puts something on the line from end i of c: it comes after all that is there.
func (w *world) send(c *conn, i int, x delivery) {
	l, from, to := &c.lines[1-i], c.ends[i].node, c.ends[1-i].node
	l.queue = append(l.queue, x)
	l.last = max(l.last, w.latency())
	w.carry(from, to, l.last, func() {
		x := l.queue[0]
		l.queue = l.queue[1:]
		if x.letter && (l.torn || l.hung > 0 && w.now > l.hung+hangupTimeout) || to.dead || to.id != c.ends[1-i].id {
			return
		}
		to.take(x.do)
	})
}

// letter sends a letter to a peer, if there is a connection to it.
func (w *world) letter(p *node, to uint64, body []byte) {
	c, i := p.conn(to)
	if c == nil {
		return
	}
	from, q := p.id, c.ends[1-i].node
	w.send(c, i, delivery{true, func() {
		if c.ends[1-i].up {
			q.read(from, body)
		}
	}})
}

// lose ends a connection of which end i learns so.
func (w *world) lose(c *conn, i int) {
	e := &c.ends[i]
	if !e.up {
		return
	}
	w.drop(c, i)
	e.node.proc.Disconnected(w.now, c.ends[1-i].id)
}

// drop takes end i of c down.
func (w *world) drop(c *conn, i int) {
	p := c.ends[i].node
	c.ends[i].up = false
	p.conns = slices.DeleteFunc(p.conns, func(o *conn) bool { return o == c })
}

// hangup ends the connection of p with a peer, or the attempt to make one.
func (w *world) hangup(p *node, peer uint64) {
	if d := p.dialling(peer); d != nil {
		p.giveUp(d)
	}
	if c, i := p.conn(peer); c != nil {
		w.drop(c, i)
		c.lines[1-i].hung = w.now
		w.send(c, i, delivery{do: func() { w.lose(c, 1-i) }})
	}
}

// hangupAll ends all connections of p, because it begins anew or has left.
func (w *world) hangupAll(p *node) {
	p.dials = nil
	for len(p.conns) > 0 {
		c := p.conns[0]
		for i := range c.ends {
			if c.ends[i].node == p && c.ends[i].up {
				w.hangup(p, c.ends[1-i].id)
			}
		}
	}
}

// tear ends all connections of p, which has crashed: the others learn of it after
// what it has sent or, perhaps, before.
func (w *world) tear(p *node) {
	silenced := w.dice.chance(2)
	for _, c := range slices.Clone(p.conns) {
		for i := range c.ends {
			if c.ends[i].node != p {
				continue
			}
			w.drop(c, i)
			c.lines[1-i].torn = silenced
			q, lost := c.ends[1-i].node, func() { w.lose(c, 1-i) }
			if w.dice.chance(2) {
				w.carry(p, q, w.now+w.s.Delay, func() {
					if !q.dead {
						q.take(lost)
					}
				})
			} else {
				w.send(c, i, delivery{do: lost})
			}
		}
	}
	p.dials = nil
}
