package process

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"cohort/core"
	"cohort/membership"
	"cohort/site"
	"cohort/slab"
	"cohort/wire"
)

const ms = int64(1_000_000)

// world is processes and what is between them: what is sent arrives at the next
// step, connections come about at once, everything else takes 10 ms.
type world struct {
	t     testing.TB
	now   int64
	peers []*peer
	next  uint64                                         // identity to be given
	deaf  func(from, to *peer) bool                      // packets and beacons that do not arrive
	cut   func(a, b *peer) bool                          // no connection comes about
	held  func(from, to *peer, l membership.Letter) bool // letters that do not arrive
}

// peer is a process, its driver and its program.
type peer struct {
	*Process
	w       *world
	pool    *slab.Pool
	name    string
	dead    bool
	linked  map[*peer]bool
	changes []site.Change
	stages  []Stage // that it has been in
	turns   int     // Flushes
}

func (a *peer) Deliver(*core.Delivery) bool { return true }
func (a *peer) View(c site.Change)          { a.changes = append(a.changes, c) }

func newWorld(t testing.TB) *world {
	return &world{
		t: t, now: 1000 * ms,
		deaf: func(_, _ *peer) bool { return false }, cut: func(_, _ *peer) bool { return false },
		held: func(_, _ *peer, _ membership.Letter) bool { return false },
	}
}

func configOf(expect int) Config {
	return Config{Site: site.Config{Rules: membership.Rules{Timeout: 200 * ms}}, Expect: expect}
}

// start starts a process. They are named a, b, c, and so on, by age.
func (w *world) start(cfg Config) *peer { return w.startAs(cfg, 1472) }

func (w *world) startAs(cfg Config, segment uint16) *peer {
	a := &peer{w: w, pool: slab.NewPool(), name: string(rune('a' + len(w.peers))), linked: map[*peer]bool{}}
	m := w.member(segment)
	m.Name = a.name
	a.Process = New(w.now, cfg, m, a.pool)
	w.peers = append(w.peers, a)
	return a
}

func (w *world) startAll(n int, cfg Config) []*peer {
	for range n {
		w.start(cfg)
	}
	return w.peers
}

func (w *world) member(segment uint16) membership.Member {
	w.next++
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(w.next >> 8), byte(w.next)}), 7)
	return membership.Member{ID: w.next, Since: int64(w.next), Segment: segment, RecvBuffer: 1 << 20, Addr: addr, Control: addr}
}

func (w *world) find(id uint64) *peer {
	i := slices.IndexFunc(w.peers, func(a *peer) bool { return a.Self().ID == id && !a.dead })
	if i < 0 {
		return nil
	}
	return w.peers[i]
}

// pass lets time go by.
func (w *world) pass(d int64) {
	for end := w.now + d; w.now < end; {
		w.now += 10 * ms
		for range 4 { // there and back again
			for _, a := range slices.Clone(w.peers) {
				if !a.dead {
					a.turn()
				}
			}
		}
	}
}

// until lets time go by until something is so, for some seconds at most.
func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	for end := w.now + 20_000*ms; !so(); w.pass(10 * ms) {
		if w.now > end {
			w.t.Fatalf("%s: not in 20 s\n%v", what, w)
		}
	}
}

func (w *world) String() (text string) {
	for _, a := range w.peers {
		text += fmt.Sprintf("%s: dead %v, in %v, %v\n", a.name, a.dead, a.members(), a.Problem())
	}
	return text
}

// turn is one turn of a process's driver.
func (a *peer) turn() {
	w := a.w
	a.turns++
	for k := 0; k == 0 || a.Deadline() <= w.now; k++ {
		if a.Flush(w.now); k == 3 {
			w.t.Fatalf("%s is to be flushed at %d, again and again, at %d", a.name, a.Deadline(), w.now)
		}
	}
	for _, o := range a.Output() {
		for at := 0; at < len(o.Buf); at += o.Segment {
			p := o.Buf[at:min(at+o.Segment, len(o.Buf))]
			for _, b := range w.peers {
				if b != a && !b.dead && (o.Member == nil || o.Member.ID == b.Self().ID) && !w.deaf(a, b) {
					b.packet(p)
				}
			}
		}
	}
	a.Recycle()
	a.Process.Deliver(w.now, a, 100)
	for _, bc := range a.Beacons() {
		for _, b := range w.peers {
			if b != a && !b.dead && !w.deaf(a, b) {
				b.Beacon(w.now, bc)
			}
		}
	}
	a.correspond()
	if s, _ := a.Stage(); len(a.stages) == 0 || a.stages[len(a.stages)-1] != s {
		a.stages = append(a.stages, s)
	}
	if a.Out() && !a.leaving {
		a.reborn()
	}
}

func (a *peer) packet(p []byte) {
	ref := a.pool.Get()
	copy(a.pool.Bytes(ref), p)
	a.Train(a.w.now, ref, 0, len(p), len(p))
	a.pool.Release(ref)
}

func (a *peer) correspond() {
	w := a.w
	for _, p := range a.Letters() {
		if b := w.find(p.To); b != nil && a.linked[b] && !w.held(a, b, p.Letter) {
			b.Letter(w.now, a.Self().ID, p.Letter)
		}
	}
	for _, l := range a.Links() {
		b := w.find(l.Peer)
		switch {
		case !l.Dial:
			if b != nil {
				a.unlink(b)
			}
		case b == nil || w.cut(a, b):
			a.Disconnected(w.now, l.Peer)
		case !a.linked[b]:
			a.linked[b], b.linked[a] = true, true
			a.Connected(w.now, b.Self().ID)
			b.Connected(w.now, a.Self().ID)
		}
	}
}

// unlink ends a connection that a has hung up.
func (a *peer) unlink(b *peer) {
	if a.linked[b] {
		delete(a.linked, b)
		delete(b.linked, a)
		b.Disconnected(a.w.now, a.Self().ID)
	}
}

func (a *peer) unlinkAll() {
	for _, b := range a.w.peers {
		a.unlink(b)
	}
}

func (a *peer) die() {
	a.dead = true
	a.unlinkAll()
}

func (a *peer) reborn() {
	a.unlinkAll()
	a.w.next++
	a.Reborn(a.w.now, a.w.next)
}

// members tells who is in the view that a process is in.
func (a *peer) members() (names string) {
	if !a.In() {
		return ""
	}
	for _, m := range a.Site().View().Members {
		names += m.Name
	}
	return names
}

// want waits until all who live are in one view of these.
func (w *world) want(names string) {
	w.t.Helper()
	w.until("a view of "+names, func() bool {
		for _, a := range w.peers {
			if !a.dead && a.members() != names {
				return false
			}
		}
		return true
	})
}

// took checks how long something took, ms.
func (w *world) took(since, least, most int64) {
	w.t.Helper()
	if d := (w.now - since) / ms; d < least || d > most {
		w.t.Errorf("it took %d ms, want %d to %d", d, least, most)
	}
}

// ghost returns what a process says that is not there.
func (w *world) ghost(cfg Config) membership.Beacon {
	return membership.Beacon{Kind: wire.Here, From: w.member(1472), Expect: cfg.Expect}
}

// ghosts has beacons heard by all for some time.
func (w *world) ghosts(b membership.Beacon, d int64) {
	for end := w.now + d; w.now < end; w.pass(50 * ms) {
		for _, a := range w.peers {
			a.Beacon(w.now, b)
		}
	}
}
