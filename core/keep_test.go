package core

import (
	"testing"

	"cohort/order"
	"cohort/wire"
)

// share carries packets as turn does, but many in a slab.
func (l *lab) share(in []*inlet) {
	l.carry(func(to int, pkt []byte) { in[to].receive(l.now, pkt) })
}

// flood has member 0 send packets until it may not for long, or there have been most.
func (l *lab) flood(in []*inlet, most uint64) {
	payload := make([]byte, 64)
	for idle := 0; idle < 400 && l.ms[0].stats.PacketsSent < most; idle++ {
		for range 64 {
			if _, done := l.ms[0].Submit(l.now, Message{Level: order.FIFO, Size: len(payload)}, payload); !done {
				break
			}
			l.ms[0].Flush(l.now)
			idle = 0
		}
		l.share(in)
	}
}

// TestRowsThatOneDoesNotHear: member 2 is heard by the sender, and not by member 1. That
// keeps what is sent, has the sender pause while it has room, and so can fetch any cut.
func TestRowsThatOneDoesNotHear(t *testing.T) {
	l := newLab(t, 3, wire.MinSegment(3)+200)
	in := l.inlets()
	l.drop = func(from, to int, _ []byte) bool { return from == 2 && to == 1 }
	l.flood(in, 8*streamCap)
	l.drop = func(from, to int, _ []byte) bool { return to == 1 || from == 1 }
	l.flood(in, 8*streamCap)
	st := &l.ms[1].streams[0]
	if kept := st.rcv + 1 - st.low; kept > 3*streamCap/4 {
		t.Errorf("member 1 keeps %d packets of member 0, its memory is for %d", kept, streamCap)
	}
	l.drop = func(from, to int, _ []byte) bool { return from == 2 || to == 2 }
	for _, m := range l.ms[:2] {
		m.Freeze(l.now)
	}
	cut := l.ms[0].Row()
	l.ms[1].Fetch(l.now, cut, []int{0, 0, 0})
	for range 10_000 {
		if l.share(in); l.ms[1].Fetched() {
			return
		}
	}
	t.Errorf("member 1 has %v of the cut %v", l.ms[1].Row(), cut)
}

// TestWhatIsKeptIsCounted: all that is kept is given back when all members have it.
func TestWhatIsKeptIsCounted(t *testing.T) {
	l := newLab(t, 3, 1472)
	for i := range 30 {
		l.send(i%3, levels[i%len(levels)], make([]byte, 500*i))
	}
	l.run(200)
	for i, m := range l.ms {
		if m.kept != 0 || m.held != 0 {
			t.Errorf("member %d keeps %d bytes and holds %d when all is delivered everywhere", i, m.kept, m.held)
		}
	}
}

// gate hands on to a sink what comes while it is open, and refuses it while it is not.
type gate struct {
	Sink
	open bool
}

func (g *gate) Deliver(d *Delivery) bool { return g.open && g.Sink.Deliver(d) }

// TestAPauseEndsWithItsReason: a program takes at once what its member had the sender pause for.
// That is given back in the next turn only, which therefore has to come at once.
func TestAPauseEndsWithItsReason(t *testing.T) {
	l := newLab(t, 2, 1472)
	for i := range l.ms {
		var err error
		if l.ms[i], err = New(0, Config{HoldLimit: 64 << 10}, testView(2, 1472), i, l.ps[i]); err != nil {
			t.Fatal(err)
		}
	}
	slow := &gate{Sink: l.sink[0], open: true}
	l.sink[0] = slow
	l.run(200)    // 10 ms: member 0 counts as sending no more
	for range 6 { // some is always under way, so that the whole window is open
		fill(l.now, l.ms[1], 200, 1000)
		l.turn()
	}
	slow.open = false
	fill(l.now, l.ms[1], 1<<20, 1000)
	l.run(4)
	m := l.ms[0]
	if !m.Pausing(0) || m.kept < m.keepMost/2 {
		t.Fatalf("pausing %t, %d bytes are kept; want a pause that %d bytes end", m.Pausing(0), m.kept, m.keepMost/2)
	}
	slow.open = true
	m.Deliver(slow, 1<<30)
	if m.held != 0 {
		t.Fatalf("%d bytes are held when all is delivered", m.held)
	}
	if m.Deadline() > l.now {
		t.Errorf("the next turn is due in %d ns, want now", m.Deadline()-l.now)
	}
	m.Flush(l.now)
	if m.Pausing(0) {
		t.Errorf("a pause goes on with %d bytes kept", m.kept)
	}
}
