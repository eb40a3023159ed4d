package core

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"cohort/order"
	"cohort/slab"
	"cohort/wire"
)

// inlet hands packets to a machine as the engine does: small ones share slabs.
type inlet struct {
	m    *Machine
	p    *slab.Pool
	ref  slab.Ref
	used int
}

func (in *inlet) receive(now int64, b []byte) {
	if in.ref == 0 || in.used+len(b) > slab.Size {
		in.close()
		in.ref, in.used = in.p.Get(), 0
	}
	copy(in.p.Bytes(in.ref)[in.used:], b)
	in.m.Receive(now, in.ref, in.used, len(b))
	in.used += len(b)
}

func (in *inlet) close() {
	if in.ref != 0 {
		in.p.Release(in.ref)
		in.ref = 0
	}
}

// lone returns one member of a view of n, the others being whoever speaks to it.
func lone(t testing.TB, n, self int) (*Machine, *inlet) {
	p := slab.NewPool()
	m, err := New(0, Config{}, testView(n, 1472), self, p)
	if err != nil {
		t.Fatal(err)
	}
	return m, &inlet{m: m, p: p}
}

// inlets returns one for each machine of the lab.
func (l *lab) inlets() (all []*inlet) {
	for i := range l.ms {
		all = append(all, &inlet{m: l.ms[i], p: l.ps[i]})
	}
	return all
}

// capture returns real packets of every kind and with every section: of a lossy
// run of three members at all levels.
func capture(t testing.TB) (packets [][]byte) {
	l := newLab(t, 3, 1472)
	k := 0
	l.drop = func(from, to int, pkt []byte) bool {
		if k++; k%5 == 0 {
			return true
		}
		packets = append(packets, bytes.Clone(pkt))
		return false
	}
	for i := range 60 {
		l.send(i%3, levels[i%len(levels)], make([]byte, i*i))
		l.turn()
	}
	l.run(100)
	flags, kinds := uint8(0), 0
	for _, b := range packets {
		h, err := wire.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		flags, kinds = flags|h.Flags, kinds|1<<h.Kind
	}
	if flags != wire.HasDep|wire.HasRecord|wire.HasRow|wire.WantRow || kinds != 1<<wire.Data|1<<wire.RowOnly|1<<wire.NAK {
		t.Fatalf("captured flags %04b and kinds %04b: not all", flags, kinds)
	}
	return packets
}

var levels = []order.Level{
	order.FIFO, order.Causal, order.Total, order.FIFO.Safe(), order.Causal.Safe(), order.Total.Safe(), order.Total.SafeAll(),
}

// spoil makes of a real packet one that is not for this view, in one of the ways
// in which a packet can be that.
func spoil(r *rand.Rand, packet []byte) []byte {
	b := bytes.Clone(packet)
	switch r.IntN(8) {
	case 0: // another cluster
		b[4+r.IntN(4)] ^= byte(1 + r.IntN(255))
		wire.Seal(b)
	case 1: // another view
		b[8+r.IntN(8)] ^= byte(1 + r.IntN(255))
		wire.Seal(b)
	case 2: // another version
		b[2] ^= byte(1 + r.IntN(255))
		wire.Seal(b)
	case 3: // another protocol
		b[r.IntN(2)] ^= byte(1 + r.IntN(255))
		wire.Seal(b)
	case 4: // damaged on the way
		b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
	case 5: // cut short on the way
		b = b[:r.IntN(len(b))]
	case 6: // longer than it was sent
		b = append(b, byte(r.Uint32()))
	default: // noise
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// play runs four members with losses and messages at every level, and before each
// turn lets disturb do something. It returns a digest of every packet that they
// sent, their deliveries, and their counters.
func play(t *testing.T, disturb func(l *lab)) (sent uint64, got [][]string, stats []Stats) {
	l := newLab(t, 4, 1472)
	digest, k := fnv.New64a(), 0
	l.drop = func(from, to int, pkt []byte) bool {
		digest.Write([]byte{byte(from), byte(to)})
		digest.Write(pkt)
		k++
		return k%11 == 0
	}
	for i := range 300 {
		disturb(l)
		l.send(i%4, levels[i%len(levels)], fmt.Appendf(nil, "%d", i))
		if i%3 == 0 {
			l.turn()
		}
	}
	for range 1500 {
		disturb(l)
		l.turn()
	}
	for i, m := range l.ms {
		if len(l.got[i]) != 300 {
			t.Fatalf("member %d delivered %d of 300 messages", i, len(l.got[i]))
		}
		stats = append(stats, m.Stats())
	}
	return digest.Sum64(), l.got, stats
}

// TestForeignPacketsChangeNothing: whoever lacks the cluster, the view or the
// checksum cannot change a single byte of what the members send, nor the order of
// anything delivered; that it tried is counted.
func TestForeignPacketsChangeNothing(t *testing.T) {
	packets := capture(t)
	r := rand.New(rand.NewPCG(1, 1))
	tries := uint64(0)
	sent, got, stats := play(t, func(*lab) {})
	var in []*inlet
	dirtySent, dirtyGot, dirtyStats := play(t, func(l *lab) {
		if in == nil {
			in = l.inlets()
		}
		real := packets[r.IntN(len(packets))]
		own := bytes.Clone(real) // as if of this view
		binary.LittleEndian.PutUint64(own[8:], l.ms[0].viewKey)
		for _, i := range in {
			i.receive(l.now, spoil(r, own))
			i.receive(l.now, real) // of the view of three
		}
		tries += 2
	})
	if dirtySent != sent {
		t.Error("the members sent other packets than undisturbed")
	}
	for i := range got {
		if !slices.Equal(got[i], dirtyGot[i]) {
			t.Errorf("member %d delivered %v, undisturbed %v", i, dirtyGot[i], got[i])
		}
		s := &dirtyStats[i]
		if counted := s.BadPackets + s.OtherCluster + s.OtherView + s.OtherVersion; counted != tries {
			t.Errorf("member %d counted %d of %d foreign packets", i, counted, tries)
		}
		s.BadPackets, s.BadChecksum, s.OtherCluster, s.OtherView, s.OtherVersion = 0, 0, 0, 0, 0
		if *s != stats[i] {
			t.Errorf("member %d counted %+v, undisturbed %+v", i, *s, stats[i])
		}
	}
}

// TestDropsAreCounted: each reason to drop a packet has its counter, and nothing
// else moves.
func TestDropsAreCounted(t *testing.T) {
	row := wire.AppendRow(nil, 1, 0, false, make([]uint64, 3))
	nak := func(stream, count byte) []byte { return append([]byte{stream, count}, make([]byte, 10*int(count))...) }
	for _, c := range []struct {
		name  string
		h     wire.Header
		body  []byte
		sec   []byte
		spoil func(b []byte)
		want  Stats
	}{
		{name: "version", h: wire.Header{Kind: wire.Data, Seq: 1}, spoil: func(b []byte) { b[2] = 9 }, want: Stats{OtherVersion: 1}},
		{name: "magic", h: wire.Header{Kind: wire.Data, Seq: 1}, spoil: func(b []byte) { b[0] = 9 }, want: Stats{BadPackets: 1}},
		{name: "cluster", h: wire.Header{Kind: wire.Data, Seq: 1, Cluster: 9}, want: Stats{OtherCluster: 1}},
		{name: "view", h: wire.Header{Kind: wire.Data, Seq: 1}, spoil: func(b []byte) { b[8]++ }, want: Stats{OtherView: 1}},
		{name: "checksum", h: wire.Header{Kind: wire.Data, Seq: 1}, spoil: func(b []byte) { b[len(b)-1]++ }, want: Stats{BadPackets: 1, BadChecksum: 1}},
		{name: "local, in a view of several hosts", h: wire.Header{Local: true, Kind: wire.Data, Seq: 1}, want: Stats{OtherVersion: 1}},
		{name: "kind 0", h: wire.Header{Kind: 0, Seq: 1}, want: Stats{BadPackets: 1}},
		{name: "a beacon", h: wire.Header{Kind: wire.Ring}, want: Stats{BadPackets: 1}},
		{name: "rank", h: wire.Header{Kind: wire.Data, Seq: 1, Sender: 3}, want: Stats{BadPackets: 1}},
		{name: "level", h: wire.Header{Kind: wire.Data, Seq: 1, Level: 3}, want: Stats{BadPackets: 1}},
		{name: "number 0", h: wire.Header{Kind: wire.Data}, want: Stats{BadPackets: 1}},
		{name: "no dep", h: wire.Header{Kind: wire.Data, Seq: 1, Flags: wire.HasDep}, want: Stats{BadPackets: 1}},
		{name: "no row", h: wire.Header{Kind: wire.RowOnly, Flags: wire.HasRow}, sec: row[1:], want: Stats{BadPackets: 1}},
		{name: "NAK of nobody's", h: wire.Header{Kind: wire.NAK}, body: nak(3, 1), want: Stats{BadPackets: 1}},
		{name: "NAK too short", h: wire.Header{Kind: wire.NAK}, body: nak(0, 1)[:11], want: Stats{BadPackets: 1}},
		{name: "NAK", h: wire.Header{Kind: wire.NAK}, body: nak(0, 1), want: Stats{NAKsReceived: 1}},
		{name: "ours, repaired", h: wire.Header{Kind: wire.Data, Seq: 1, Sender: 1}, want: Stats{Duplicates: 1}},
		{name: "too far ahead", h: wire.Header{Kind: wire.Data, Seq: 1 + streamCap}, want: Stats{PacketsReceived: 1, BytesReceived: wire.Overhead, BeyondWindow: 1}},
		{name: "a frame too long", h: wire.Header{Kind: wire.Data, Seq: 1}, body: []byte{24, 0, 9, 0, 0, 0, 0, 0}, want: Stats{PacketsReceived: 1, BytesReceived: wire.Overhead + 8, BadFrames: 1}},
		{name: "a record of the far future", h: wire.Header{Kind: wire.Data, Seq: 1, Flags: wire.HasRecord}, sec: append(binary.LittleEndian.AppendUint64(nil, 1<<60), 0, 0), want: Stats{PacketsReceived: 1, BytesReceived: wire.Overhead + 10, Records: 1, BadPackets: 1}},
		{name: "a fragment of nothing", h: wire.Header{Kind: wire.Data, Seq: 1}, body: []byte{16, 0, 0, 0, 0, 0, 0, 0}, want: Stats{PacketsReceived: 1, BytesReceived: wire.Overhead + 8, BadFrames: 1}},
	} {
		m, in := lone(t, 3, 1)
		c.h.View, c.h.Body = m.viewKey, len(c.body)
		b := sealed(c.h, c.body, c.sec)
		if c.spoil != nil {
			c.spoil(b)
			if c.name != "checksum" {
				wire.Seal(b)
			}
		}
		in.receive(0, b)
		m.Deliver(&counter{}, 1<<30)
		if got := m.Stats(); got != c.want {
			t.Errorf("%s: counted %+v, want %+v", c.name, got, c.want)
		}
	}
}

func sealed(h wire.Header, parts ...[]byte) []byte {
	b := make([]byte, wire.HeaderSize)
	wire.PutHeader(b, h)
	b = append(b, bytes.Join(parts, nil)...)
	b = append(b, make([]byte, wire.SumSize)...)
	wire.Seal(b)
	return b
}

// liar makes packets that only a member could make, with the worst of contents.
type liar struct {
	r       *rand.Rand
	n       int
	key     uint64
	ranks   []int  // whom it speaks as
	pause   bool   // whether it also asks everybody to pause
	records bool   // whether it also meddles with the total order
	from    uint64 // first number of its own stream that it uses
}

// number draws from what a counter must not be, and what it might be.
func (a liar) number() uint64 {
	edges := []uint64{0, 1, 2, 3, streamCap - 1, streamCap, streamCap + 1, uint64(a.n) * streamCap, 1 << 32, 1 << 40, 1 << 63, 1<<64 - 1}
	if a.r.IntN(2) == 0 {
		return edges[a.r.IntN(len(edges))]
	}
	return a.r.Uint64N(100)
}

func (a liar) deltas(b []byte) []byte {
	old, now := make([]uint64, a.n), make([]uint64, a.n)
	for k := range now {
		if a.r.IntN(2) == 0 {
			now[k] = min(a.number(), 1<<40)
		}
	}
	return wire.AppendDeltas(b, old, now)
}

func (a liar) row(b []byte) []byte {
	rcv := make([]uint64, a.n)
	for k := range rcv {
		rcv[k] = a.number()
	}
	return wire.AppendRow(b, a.number(), a.number(), a.pause && a.r.IntN(2) == 0, rcv)
}

func (a liar) nak() []byte {
	ranges := make([]wire.Range, a.r.IntN(wire.MaxRanges+1))
	for i := range ranges {
		ranges[i] = wire.Range{From: a.number(), Count: uint16(a.number())}
	}
	return wire.AppendNAK(nil, a.r.IntN(a.n), ranges)
}

func (a liar) frames() (body []byte) {
	for range a.r.IntN(6) {
		b := make([]byte, wire.FrameStartSize+200)
		n := a.r.IntN(100)
		f := wire.Frame{
			Kind: uint8(a.r.IntN(8)), First: a.r.IntN(2) == 0, Last: a.r.IntN(2) == 0, Abort: a.r.IntN(5) == 0,
			Level: levels[a.r.IntN(len(levels))], Group: a.r.Uint32(), Size: int(min(a.number(), 1<<32-1)),
		}
		body = append(body, b[:wire.PutFrame(b, &f, n)+n]...)
	}
	return body[:len(body)-a.r.IntN(2)*a.r.IntN(len(body)+1)]
}

// packet makes one packet.
func (a liar) packet() []byte {
	h := wire.Header{
		Kind: wire.Kind(1 + a.r.IntN(3)), View: a.key, Sender: uint8(a.ranks[a.r.IntN(len(a.ranks))]), Seq: a.from + a.number(),
		Level: levels[a.r.IntN(len(levels))], Flags: uint8(a.r.Uint32()),
	}
	if !a.records {
		h.Flags &^= wire.HasRecord
	}
	body, sec := a.frames(), []byte(nil)
	if h.Kind == wire.NAK {
		body = a.nak()
	}
	if h.Body = len(body); h.Flags&wire.HasDep != 0 {
		sec = a.deltas(sec)
	}
	if h.Flags&wire.HasRecord != 0 {
		sec = append(binary.LittleEndian.AppendUint64(sec, max(1, a.number())), byte(a.r.IntN(a.n)))
		sec = a.deltas(sec)
	}
	if h.Flags&wire.HasRow != 0 {
		sec = a.row(sec)
	}
	return sealed(h, body, sec)
}

// checkOutput asserts that what a machine sends can be sent.
func checkOutput(t testing.TB, m *Machine) {
	t.Helper()
	for _, o := range m.Output() {
		if o.To < Multicast || o.To >= m.n || o.To == m.self {
			t.Fatalf("rank %d sends to rank %d", m.self, o.To)
		}
		for b := o.Buf; len(b) > 0; {
			k := min(o.Segment, len(b))
			h, err := wire.Parse(b[:k])
			if err != nil || !wire.Verify(b[:k]) {
				t.Fatalf("rank %d sends a malformed packet: %v", m.self, err)
			}
			if h.Kind == wire.NAK {
				checkNAK(t, m, b[wire.HeaderSize:wire.HeaderSize+h.Body])
			}
			b = b[k:]
		}
	}
}

// checkNAK asserts that a machine asks for no more than it could keep.
func checkNAK(t testing.TB, m *Machine, body []byte) {
	t.Helper()
	_, ranges, err := wire.ParseNAK(body, m.n, nil)
	if err != nil {
		t.Fatal(err)
	}
	packets := 0
	for _, r := range ranges {
		packets += int(r.Count)
	}
	if packets > streamCap {
		t.Fatalf("rank %d asks for %d packets of one stream: %v", m.self, packets, ranges)
	}
}

// most bounds the slabs that a member of n may hold for packets of up to size
// bytes: each sender's streamCap packets, two slabs in use, and one kept by each
// stream's first and last packet.
func most(n, size int) int { return n*(streamCap*size/(slab.Size-size)+3) + 8 }

// TestLyingMembers: others speak as every rank, say the worst, for long. Nothing
// panics, memory stays bounded, and what the member sends is well formed.
func TestLyingMembers(t *testing.T) {
	packets := capture(t)
	for _, n := range []int{2, 3, 64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			m, in := lone(t, n, n/2)
			now := int64(0)
			r := rand.New(rand.NewPCG(2, uint64(n)))
			a := liar{r: r, n: n, key: m.viewKey, pause: true, records: true}
			for k := range n {
				a.ranks = append(a.ranks, k)
			}
			largest := 0
			for i := range 20_000 {
				b := a.packet()
				if r.IntN(3) == 0 { // or a real one, changed
					b = bytes.Clone(packets[r.IntN(len(packets))])
					binary.LittleEndian.PutUint64(b[8:], m.viewKey)
					for range r.IntN(4) {
						b[16+r.IntN(len(b)-16)] = byte(a.number())
					}
					wire.Seal(b)
				}
				largest = max(largest, len(b))
				in.receive(now, b)
				if i%7 == 0 {
					now += r.Int64N(500_000)
					m.Submit(now, Message{Level: levels[r.IntN(len(levels))], Size: 10}, make([]byte, 10))
					m.Flush(now)
					checkOutput(t, m)
					m.Recycle()
					m.Deliver(&counter{}, r.IntN(100))
				}
			}
			in.close()
			if live := in.p.Live(); live > most(n, largest) {
				t.Errorf("%d slabs live after %d packets of up to %d bytes, want at most %d", live, 20_000, largest, most(n, largest))
			}
		})
	}
}

// TestClaimsCostNothing: memory is taken for what has come, not for what a packet
// says will come.
func TestClaimsCostNothing(t *testing.T) {
	const n = 64
	m, in := lone(t, n, 0)
	in.receive(0, sealed(wire.Header{Kind: wire.RowOnly, View: m.viewKey, Sender: 1})) // takes the slab
	start := make([]byte, wire.FrameStartSize)
	wire.PutFrame(start, &wire.Frame{First: true, Size: MaxMessage}, 0)
	tooLong := bytes.Clone(start)
	wire.PutFrame(tooLong, &wire.Frame{First: true, Size: -1}, 0)
	all := make([]uint64, n)
	for k := range all {
		all[k] = 1<<64 - 1
	}
	record := wire.AppendRecord(nil, n*streamCap, 0, make([]uint64, n), make([]uint64, n))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for k := 1; k < n; k++ {
		h := wire.Header{Kind: wire.Data, View: m.viewKey, Sender: uint8(k), Seq: 1, Flags: wire.HasRecord | wire.HasRow, Body: len(start)}
		in.receive(0, sealed(h, start, record, wire.AppendRow(nil, 1<<64-1, 1<<64-1, true, all)))
		h = wire.Header{Kind: wire.Data, View: m.viewKey, Sender: uint8(k), Seq: 2, Body: len(tooLong)}
		in.receive(0, sealed(h, tooLong))
	}
	m.Flush(1)
	m.Recycle()
	m.Deliver(&counter{}, 1<<30)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
		t.Errorf("%d packets of about 600 bytes made the machine allocate %d bytes", 2*(n-1), took)
	}
	if got := m.Stats().BadFrames; got != n-1 {
		t.Errorf("%d bad frames, want %d: one for each message of 4 GiB", got, n-1)
	}
}

// TestFarRecordsAreBounded: a member that makes many of them, far from where the chain
// is, is not acknowledged; what they were put off for sets them going again.
func TestFarRecordsAreBounded(t *testing.T) {
	const records, enough = 10_000, 5000
	m, in := lone(t, 3, 0)
	none := make([]uint64, 3)
	packet := func(from int, seq, record uint64) []byte {
		h := wire.Header{Kind: wire.Data, View: m.viewKey, Sender: uint8(from), Seq: seq, Flags: wire.HasRecord}
		return sealed(h, wire.AppendRecord(nil, record, 2, none, none))
	}
	for seq := uint64(1); seq <= records; seq++ {
		in.receive(0, packet(2, seq, seq+1))
	}
	m.Flush(1)
	m.Recycle()
	if got := m.rows.Rcv(0)[2]; got == 0 || got > enough {
		t.Errorf("%d packets are accepted without the first record, want some and at most %d", got, enough)
	}
	in.receive(2, packet(1, 1, 1))
	m.Flush(2)
	if got := m.Known(); got != records+1 {
		t.Errorf("%d records are known at last, want %d", got, records+1)
	}
}

// TestFragmentsBeyondTheirMessage are not put together in memory without end.
func TestFragmentsBeyondTheirMessage(t *testing.T) {
	const fragments = 2000
	m, in := lone(t, 3, 0)
	packet := func(seq uint64, f wire.Frame, size int) []byte {
		b := make([]byte, wire.FrameStartSize+size)
		b = b[:wire.PutFrame(b, &f, size)+size]
		return sealed(wire.Header{Kind: wire.Data, View: m.viewKey, Sender: 1, Seq: seq, Body: len(b)}, b)
	}
	in.receive(0, packet(1, wire.Frame{First: true, Size: 100}, 10))
	for seq := range uint64(fragments) {
		in.receive(0, packet(seq+2, wire.Frame{}, 1400))
	}
	m.Deliver(&counter{}, 1<<30)
	if got := cap(m.streams[1].part.buf); got > 1<<12 {
		t.Errorf("%d bytes were put together of a message of 100", got)
	}
	if got := m.Stats().BadFrames; got != fragments {
		t.Errorf("%d bad frames, want %d", got, fragments)
	}
}

// TestRepairsAreBounded: whoever asks for everything gets a bounded part of it,
// and again only when that could have arrived.
func TestRepairsAreBounded(t *testing.T) {
	m, in := lone(t, 3, 0)
	now := int64(1)
	for done := true; done; {
		_, done = m.Submit(now, Message{Size: 1000}, make([]byte, 1000))
	}
	m.Flush(now)
	m.Recycle()
	all := make([]wire.Range, wire.MaxRanges)
	for i := range all {
		all[i] = wire.Range{From: 0, Count: 1<<16 - 1}
	}
	ask := func(from uint8, at int64) (packets, bytes int) {
		body := wire.AppendNAK(nil, 0, all)
		in.receive(at, sealed(wire.Header{Kind: wire.NAK, View: m.viewKey, Sender: from, Body: len(body)}, body))
		for _, o := range m.Output() {
			packets, bytes = packets+1, bytes+len(o.Buf)
		}
		m.Recycle()
		return packets, bytes
	}
	packets, bytes := ask(1, now)
	if packets == 0 || packets > maxRepairs || bytes > maxRepairBytes+1472 {
		t.Errorf("a request is answered with %d packets of %d bytes", packets, bytes)
	}
	if packets, _ := ask(1, now+1); packets > maxRepairs/2 {
		t.Errorf("the same request a moment later is answered with %d packets", packets)
	}
	for range 3 {
		ask(1, now+2)
		ask(2, now+2)
	}
	if packets, _ := ask(1, now+3); packets > 0 {
		t.Errorf("%d packets are sent that are under way to everybody", packets)
	}
}

// TestHonestMembersGoOn: somebody speaks as rank 3, about everybody, in between
// its true packets; what the others say to each other arrives all the same, as
// soon as that is over. (As rank 3 it could ask all to pause, or order messages:
// that is a member's right, and no business of the format.)
func TestHonestMembersGoOn(t *testing.T) {
	l := newLab(t, 4, 1472)
	in := l.inlets()
	a := liar{r: rand.New(rand.NewPCG(3, 3)), n: 4, key: l.ms[0].viewKey, ranks: []int{3}}
	storm := func() {
		for range 20 {
			b := a.packet()
			for _, i := range in[:3] {
				i.receive(l.now, b)
			}
		}
	}
	for i := range 300 {
		storm()
		for s := range 3 {
			l.send(s, order.FIFO, fmt.Appendf(nil, "%d", i))
		}
		l.turn()
	}
	l.run(3000)
	for member := range 3 {
		for s := range 3 {
			var got []string
			for _, d := range l.got[member] {
				if d[:2] == fmt.Sprintf("%d:", s) {
					got = append(got, d)
				}
			}
			if len(got) != 300 {
				t.Fatalf("member %d delivered %d of 300 messages of member %d", member, len(got), s)
			}
			for i, d := range got {
				if want := fmt.Sprintf("%d:fbcast:%d:%d", s, i, len(fmt.Sprint(i))); d != want {
					t.Fatalf("member %d delivered %s, want %s", member, d, want)
				}
			}
		}
	}
}

// FuzzReceive feeds a member of three with packets that a member could have
// sealed. Each begins with its length and the fields of its header; what follows
// is its body and sections, whatever that is.
func FuzzReceive(f *testing.F) {
	var script []byte
	for i, b := range capture(f) {
		h, _ := wire.Parse(b)
		if rest := b[wire.HeaderSize : len(b)-wire.SumSize]; len(rest) < 200 {
			script = append(script, byte(len(rest)), byte(h.Kind), h.Sender, byte(h.Level), h.Flags, byte(h.Seq), byte(h.Seq>>8), byte(h.Body))
			script = append(script, rest...)
		}
		if i%20 == 19 {
			f.Add(script)
			script = nil
		}
	}
	const head = 8
	f.Fuzz(func(t *testing.T, script []byte) {
		m, in := lone(t, 3, 1)
		now, fed := int64(0), 0
		for len(script) >= head {
			k := min(int(script[0]), len(script)-head)
			h := wire.Header{
				Kind: wire.Kind(script[1]), View: m.viewKey, Sender: script[2], Level: order.Level(script[3]), Flags: script[4],
				Seq: uint64(binary.LittleEndian.Uint16(script[5:])), Body: min(int(script[7]), k),
			}
			in.receive(now, sealed(h, script[head:head+k]))
			script = script[head+k:]
			if fed++; fed%3 == 0 {
				now += 200_000
				m.Submit(now, Message{Level: levels[fed%len(levels)], Size: 1}, []byte{1})
				m.Flush(now)
				checkOutput(t, m)
				m.Recycle()
				m.Deliver(&counter{}, fed)
			}
		}
		in.close()
		if live := in.p.Live(); live > 4+fed/200 {
			t.Fatalf("%d slabs live after %d packets", live, fed)
		}
	})
}

// TestACutOfWhatWasNeverSent: a leader that lies names packets of this member's own that
// there are not. It waits for a better cut, and does not turn without end.
func TestACutOfWhatWasNeverSent(t *testing.T) {
	m, _ := lone(t, 3, 0)
	m.Freeze(1000)
	m.Fetch(1000, []uint64{5, 0, 0}, []int{1, 1, 1})
	m.Flush(1000)
	if due := m.Deadline(); due <= 1000 {
		t.Errorf("due at %d ns again, flushed at 1000", due)
	}
	if m.Fetched() {
		t.Error("it has what it never sent")
	}
	if m.Fetch(2000, []uint64{0, 0, 0}, []int{0, 0, 0}); !m.Fetched() {
		t.Error("it lacks what it has of a true cut")
	}
	m.Release()
}
