package core

import (
	"testing"

	"cohort/flowctl"
	"cohort/order"
	"cohort/wire"
)

// lonely returns a machine whose packets are trains by themselves, in a view of n members
// whose smallest receive buffer has so many bytes.
func lonely(t *testing.T, n, buffer int) *lab {
	l := newLab(t, n, maxTrainBytes)
	v := testView(n, maxTrainBytes)
	for i := range v.Members {
		v.Members[i].RecvBuffer = uint32(buffer)
	}
	for i := range l.ms {
		var err error
		if l.ms[i], err = New(0, Config{}, v, i, l.ps[i]); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// fill has a machine take messages of so many bytes until it takes no more, and returns how
// many those are.
func fill(now int64, m *Machine, most, size int) (taken int) {
	payload := make([]byte, size)
	for taken < most {
		if _, done := m.Submit(now, Message{Level: order.FIFO, Size: size}, payload); !done {
			break
		}
		taken++
	}
	return taken
}

// submit is fill, and returns the trains too. They are lost.
func submit(m *Machine, most, size int) (trains []int, taken int) {
	taken = fill(0, m, most, size)
	m.Flush(0)
	for _, o := range m.Output() {
		trains = append(trains, len(o.Buf))
	}
	m.Recycle()
	return trains, taken
}

// TestLonePackets: what makes no two packets of a train is one, as long as what is in it, and
// messages that fit one are not cut.
func TestLonePackets(t *testing.T) {
	for _, c := range []struct{ size, count, packets, least int }{
		{8192, 21, 3, 7 * 8192},
		{1024, 124, 2, 61 * 1024},
		{40_000, 3, 3, 40_000},
		{100, 1, 1, 100},
		{100_000, 1, 2, 30_000},
	} {
		l := lonely(t, 3, 8<<20)
		trains, taken := submit(l.ms[0], c.count, c.size)
		if taken != c.count || len(trains) != c.packets {
			t.Errorf("%d messages of %d bytes are %d trains %v, want %d in %d", taken, c.size, len(trains), trains, c.count, c.packets)
		}
		sum := 0
		for i, k := range trains {
			sum += k
			if k < c.least || k > maxTrainBytes {
				t.Errorf("train %d of messages of %d bytes has %d, want %d to %d", i, c.size, k, c.least, maxTrainBytes)
			}
		}
		if most := c.count*(c.size+wire.FrameSize) + len(trains)*200; sum > most {
			t.Errorf("%d bytes for %d messages of %d, want %d at the most", sum, c.count, c.size, most)
		}
	}
}

// TestLonePacketsInSmallWindows: a window that is less than the largest packet is used all the
// same, by smaller ones.
func TestLonePacketsInSmallWindows(t *testing.T) {
	const buffer = 425_984 // what Linux gives unless told otherwise
	for _, n := range []int{2, 3, 16, 64} {
		l := lonely(t, n, buffer)
		trains, taken := submit(l.ms[0], 1<<20, 1000)
		if inFlight, limit := l.ms[0].Window(); inFlight > limit && len(trains) > 1 {
			t.Errorf("%d members: %d bytes in flight in %v, the window has %d", n, inFlight, trains, limit)
		}
		if taken < 8 {
			t.Errorf("%d members: the first turn takes %d messages, want 8 at least", n, taken)
		}
		const turns = 400 // 20 ms
		l, taken = lonely(t, n, buffer), 0
		for range turns {
			taken += fill(l.now, l.ms[0], 1<<20, 1000)
			l.turn()
		}
		if least := turns * 20; taken < least && n <= 16 {
			t.Errorf("%d members: %d turns take %d messages, want %d at least", n, turns, taken, least)
		}
	}
}

// TestLonePacketsShareSlabs: what is sent a little at a time does not take a slab each.
func TestLonePacketsShareSlabs(t *testing.T) {
	l := lonely(t, 3, 8<<20)
	bytes := 0
	for range 200 {
		trains, _ := submit(l.ms[0], 1, 2000)
		for _, k := range trains {
			bytes += k
		}
	}
	if most := 2*bytes>>16 + 2; l.ps[0].Live() > most {
		t.Errorf("%d slabs hold %d bytes, want %d at the most", l.ps[0].Live(), bytes, most)
	}
}

// TestLonePacketsAreCutToTheWindow: where a message does not fit what the window has left, the
// window is not left empty for it.
func TestLonePacketsAreCutToTheWindow(t *testing.T) {
	const buffer = 212_992
	for _, n := range []int{2, 3, 4, 16, 64} {
		for _, size := range []int{1000, 8192, 30_000} {
			l := lonely(t, n, buffer)
			part := size // of a message, not taken yet
			for turn := range 100 {
				m := l.ms[0]
				sent := m.Stats().PacketsSent
				for done := true; done; {
					var taken int
					if taken, done = m.Submit(l.now, Message{Level: order.FIFO, Size: size}, make([]byte, part)); done {
						part = size
					} else {
						part -= taken
					}
				}
				if left := m.window.Left(l.now, m.active()); left >= flowctl.Charge(leastLone, true) && m.Stats().PacketsSent > sent {
					t.Fatalf("%d members, messages of %d bytes, turn %d: %d bytes of the window are left", n, size, turn, left)
				}
				l.turn()
			}
		}
	}
}

// TestLonePacketsGoByTheSlab: no packet is closed for a message that is then cut in two all the
// same, since the next packet has no more than what the slab has left.
func TestLonePacketsGoByTheSlab(t *testing.T) {
	const pairs = 20
	m := lonely(t, 3, 32<<20).ms[0]
	for range pairs {
		fill(0, m, 1, 24_000)
		fill(0, m, 1, 50_000)
	}
	if trains, _ := submit(m, 0, 0); len(trains) > 3*pairs/2 {
		t.Errorf("%d pairs of messages are %d packets %v", pairs, len(trains), trains)
	}
}

// TestDeliverStopsWithinAPacket: who asks for a few messages gets no more, however many are in
// a packet, and the rest when it asks again, also where the view has ended meanwhile.
func TestDeliverStopsWithinAPacket(t *testing.T) {
	const messages, limit = 600, 16
	l := lonely(t, 2, 8<<20)
	fill(l.now, l.ms[0], messages/2, 50)
	l.ms[0].Flush(l.now)
	fill(l.now, l.ms[0], messages/2, 50)
	in := l.inlets()[1]
	l.ms[0].Flush(l.now)
	for _, o := range l.ms[0].Output() {
		in.receive(l.now, o.Buf)
	}
	calls := 0
	for ; len(l.got[1]) < messages && calls < messages; calls++ {
		if calls == 10 { // the view ends within a packet
			l.ms[1].Freeze(l.now)
			l.ms[1].Fetch(l.now, []uint64{2, 0}, []int{0, 0})
		}
		var k int
		if calls < 10 {
			k = l.ms[1].Deliver(l.sink[1], limit)
		} else {
			k, _ = l.ms[1].Finish(l.sink[1], limit)
		}
		if k > limit {
			t.Fatalf("call %d delivers %d messages, want %d at the most", calls, k, limit)
		}
	}
	if _, done := l.ms[1].Finish(l.sink[1], limit); !done || len(l.got[1]) != messages || calls != (messages+limit-1)/limit {
		t.Errorf("%d messages of %d in %d calls, done %v", len(l.got[1]), messages, calls, done)
	}
}

// TestABurstAfterARest: who begins may send its own part of the window, which is less than what
// has a row sent at once. It asks for the rows, or all stood still until AckDelay.
func TestABurstAfterARest(t *testing.T) {
	for _, n := range []int{2, 3, 8, 16} {
		for _, segment := range []int{1472, maxTrainBytes} {
			l := lonely(t, n, 425_984)
			if segment != maxTrainBytes {
				l = newLab(t, n, segment)
			}
			l.run(400) // 20 ms
			own, turns := fill(l.now, l.ms[0], 1<<20, 1000), 0
			for l.turn(); fill(l.now, l.ms[0], 1<<20, 1000) == 0; l.turn() {
				if turns++; turns == 100 {
					break
				}
			}
			if most := 2; turns > most { // there and back
				t.Errorf("%d members, packets of %d bytes: %d turns of 50 µs after %d messages until the next, want %d at most", n, segment, turns, own, most)
			}
		}
	}
}

// TestNoRowsForWhatIsAlone: who has one message and no more to send waits for no row. So none is
// asked for, though the member's own part of the window has no room for another: each message
// would have one from every member, sent by itself.
func TestNoRowsForWhatIsAlone(t *testing.T) {
	const messages, apart = 4, 120 // of each member, which has rested in between: 6 ms
	for _, n := range []int{3, 16} {
		for _, buffer := range []int{212_992, 8 << 20} {
			l := lonely(t, n, buffer)
			for range messages * apart {
				for i, m := range l.ms {
					if int(l.now/50_000)%apart == i%8 {
						fill(l.now, m, 1, 64)
					}
				}
				l.turn()
			}
			var rows uint64
			for _, m := range l.ms {
				rows += m.Stats().RowsSent
			}
			if most := messages * n * 3; rows > uint64(most) { // each at most one a millisecond, or with what it sends
				t.Errorf("%d members with buffers of %d bytes: %d rows for %d messages, want %d at the most", n, buffer, rows, messages*n, most)
			}
		}
	}
}

// TestABurstIsNotWaitedFor: also where what closed the window of a beginning was the last of its
// turn, and more came after it.
func TestABurstIsNotWaitedFor(t *testing.T) {
	l := lonely(t, 3, 212_992)
	l.run(400)
	own, turns := 0, 0
	for ; turns < 40 && own < 3; turns++ {
		own += fill(l.now, l.ms[0], 1, 8192)
		l.turn()
	}
	if most := 3 + 2; turns > most { // a turn each, and there and back
		t.Errorf("%d turns of 50 µs for 3 messages, want %d at most", turns, most)
	}
}

// TestARowThatIsAskedForCovers: the packet that asks may overtake those before it. The row that it
// has sent does not cover it, so another is sent when it can.
func TestARowThatIsAskedForCovers(t *testing.T) {
	m, in := lone(t, 3, 0)
	packet := func(seq uint64, flags uint8) {
		in.receive(0, sealed(wire.Header{Kind: wire.Data, View: m.viewKey, Sender: 1, Seq: seq, Flags: flags}, nil))
		m.Flush(0)
	}
	packet(2, wire.WantRow)
	packet(1, 0)
	if got := m.Stats().RowsSent; got != 2 {
		t.Errorf("%d rows, want one at once and one that covers what asked", got)
	}
}
