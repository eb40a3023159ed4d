package sim

import (
	"math/rand/v2"

	"cohort/core"
	"cohort/slab"
	"cohort/wire"
)

// packet is one datagram on its way to one member.
type packet struct {
	bytes  []byte // shared by all receivers, never written to
	from   int
	sender int    // whose stream's packet it carries
	leads  bool   // is the first of its train
	number uint64 // 0: none, or damaged, or a stranger's
}

// link is the way from one member to another. Its dice are its own, so that a
// scenario with an operation less rolls the same on the other links: that
// keeps shrinking stable.
type link struct {
	dice     *rand.Rand
	delay    int64 // least
	cutUntil int64
	last     int64 // arrival of the latest packet, which none may overtake
}

func makeLinks(s Scenario) []link {
	links := make([]link, s.Members*s.Members)
	for i := range links {
		from, to := i/s.Members, i%s.Members
		links[i].dice = rand.New(rand.NewPCG(s.Seed, uint64(from*MaxMembers+to)))
		if links[i].delay = s.Delay; s.Uneven > 0 {
			links[i].delay += links[i].dice.Int64N(s.Uneven)
		}
	}
	return links
}

func (w *world) link(from, to int) *link { return &w.links[from*w.s.Members+to] }

// send puts a train on the network, cut into its packets.
func (w *world) send(from int, out core.Out) {
	if out.Segment <= 0 || out.Segment > w.s.Segment || out.To < core.Multicast || out.To >= w.s.Members || out.To == from {
		w.h.fail("Output", from, "train of %d B segments to %d, want at most %d B to another member", out.Segment, out.To, w.s.Segment)
		return
	}
	train, leads := append([]byte(nil), out.Buf...), true
	for len(train) > 0 {
		n := min(out.Segment, len(train))
		p := packet{bytes: train[:n:n], from: from, leads: leads}
		s := look(p.bytes, w.s.Members)
		w.h.Sent(from, s)
		p.sender, p.number = int(s.head.Sender), s.number()
		train, leads = train[n:], false
		w.res.Packets++
		w.sent[from]++
		if w.trace != nil {
			w.trace.add(w.now, from, "-> %s  %s", target(out.To), describe(p.bytes, w.s.Members))
		}
		w.spread(out.To, p)
	}
}

func (w *world) spread(to int, p packet) {
	for i := range w.members {
		if i != p.from && (to == core.Multicast || to == i) {
			w.transmit(i, p)
		}
	}
}

// transmit rolls the dice for one packet on its way to one member.
func (w *world) transmit(to int, p packet) {
	l, calm := w.link(p.from, to), w.now >= started+w.s.Calm
	lost, twice, hurt := l.dice.Float64() < w.s.Loss, l.dice.Float64() < w.s.Dup, l.dice.Float64() < w.s.Corrupt
	if w.now < l.cutUntil || lost && !calm {
		w.res.Lost++
		if w.trace != nil {
			w.trace.add(w.now, to, "   lost from %d  %s", p.from, describe(p.bytes, w.s.Members))
		}
		return
	}
	switch {
	case w.s.Forge > 0 && l.dice.Float64() < w.s.Forge:
		p.bytes, p.number = forge(l.dice, p.bytes), 0
	case hurt && !calm:
		p.bytes, p.number = damage(l.dice, p.bytes), 0
	}
	w.deliverAt(l, to, p)
	if twice && !calm {
		w.deliverAt(l, to, p)
	}
}

func (w *world) deliverAt(l *link, to int, p packet) {
	at := w.now + l.delay
	if w.s.Jitter > 0 {
		at += l.dice.Int64N(w.s.Jitter)
	}
	if !w.s.Reorder {
		at = max(at, l.last)
	}
	l.last = max(l.last, at)
	w.events.push(event{at: at, kind: arrival, member: to, packet: p})
}

// damage returns a copy with a byte changed, cut short, or overwritten.
func damage(dice *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	at := dice.IntN(len(b))
	switch dice.IntN(8) {
	case 0:
		return b[:at]
	case 1:
		for i := at + 1; i < len(b); i++ {
			b[i] = byte(dice.Uint32())
		}
	}
	b[at] ^= byte(1 + dice.IntN(255))
	return b
}

// forge returns a copy with some bytes changed and a checksum that is right.
func forge(dice *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + dice.IntN(4) {
		at := dice.IntN(len(b))
		if dice.IntN(2) == 0 { // most of what can go wrong begins in the header or at the end
			at = pick(generator{dice}, []int{3, 16, 20, 23, 24, 25, 26, 28, 29, len(b) - 9 - dice.IntN(len(b)/2)})
		}
		b[at] = pick(generator{dice}, []byte{0, 1, 0x7f, 0x80, 0xff, byte(dice.Uint32())})
	}
	if dice.IntN(8) == 0 {
		b = b[:max(wire.Overhead, dice.IntN(len(b)))]
	}
	wire.Seal(b)
	return b
}

// arrive puts a packet into a member's socket buffer, if there is room.
func (w *world) arrive(m *member, p packet) {
	if m.buffered+charge(p) > w.s.RecvBuffer {
		w.res.Overrun++
		if w.trace != nil {
			w.trace.add(w.now, m.rank, "   socket buffer full: dropped from %d", p.from)
		}
		return
	}
	m.buffered += charge(p)
	m.inbox = append(m.inbox, p)
	w.wake(m, w.now)
}

// charge is what a packet takes of a socket buffer, which counts the kernel's
// memory: on Linux, for a datagram by itself, a piece of a power of two bytes as
// long as that is at most 16 KiB, and 832 bytes more than the payload beyond; an
// eighth more than the payload for what rides in a train.
func charge(p packet) int {
	n := len(p.bytes)
	if !p.leads {
		return n + n/8
	}
	piece := 1024
	for piece < n+379 {
		piece *= 2
	}
	switch {
	case n+379 <= 576:
		return 832
	case piece > 16<<10:
		return n + 832
	}
	return max(n+832, piece+256)
}

// A strayKey names a stranger: it has the rank of a member, in another view or
// in another cluster.
type strayKey struct {
	rank    int
	cluster bool
}

// stranger multicasts packets that nobody may take notice of.
type stranger struct {
	m    *core.Machine
	pool *slab.Pool
}

func (w *world) stray(op Op) {
	key := strayKey{op.Member, op.Group%2 == 1}
	g := w.strays[key]
	if g == nil {
		if g = w.newStranger(key); g == nil {
			return
		}
		w.strays[key] = g
	}
	g.m.Submit(w.now, core.Message{Level: op.Level, Size: op.Size}, make([]byte, op.Size))
	g.m.Flush(w.now)
	for _, out := range g.m.Output() {
		for b := append([]byte(nil), out.Buf...); len(b) > 0; {
			n := min(out.Segment, len(b))
			w.spread(core.Multicast, packet{bytes: b[:n:n], from: op.Member})
			b = b[n:]
		}
	}
	g.m.Recycle()
}

func (w *world) newStranger(key strayKey) *stranger {
	cfg, v := core.Config{Cluster: cluster, Segment: w.s.Segment, HoldLimit: w.s.HoldLimit}, view(w.s, 1)
	if key.cluster {
		cfg.Cluster++
	} else {
		v = view(w.s, 2)
	}
	pool := slab.NewPool()
	m, err := core.New(w.now, cfg, v, key.rank, pool)
	if err != nil {
		w.h.fail("Scenario", key.rank, "%v", err)
		return nil
	}
	return &stranger{m, pool}
}
