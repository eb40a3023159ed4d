package core

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"cohort/membership"
	"cohort/order"
	"cohort/slab"
	"cohort/wire"
)

// lab is a few machines joined by a network that loses what drop says.
type lab struct {
	t    testing.TB
	now  int64
	ms   []*Machine
	ps   []*slab.Pool
	got  [][]string
	drop func(from, to int, pkt []byte) bool
	sink []Sink
}

type recorder struct {
	l    *lab
	self int
}

func (r recorder) Deliver(d *Delivery) bool {
	p := d.Payload
	if len(p) > 16 {
		p = p[:16]
	}
	r.l.got[r.self] = append(r.l.got[r.self], fmt.Sprintf("%d:%s:%s:%d", d.Sender, d.Level, p, len(d.Payload)))
	return true
}

func testView(n, segment int) membership.View {
	v := membership.View{Num: 1}
	for i := range n {
		v.Members = append(v.Members, membership.Member{
			ID: uint64(i + 1), Since: int64(i), Addr: netip.MustParseAddrPort("10.0.0.1:1"), RecvBuffer: 8 << 20, Segment: uint16(segment),
		})
	}
	return v
}

func newLab(t testing.TB, n, segment int) *lab {
	l := &lab{t: t, got: make([][]string, n), drop: func(int, int, []byte) bool { return false }}
	v := testView(n, segment)
	for i := range n {
		p := slab.NewPool()
		m, err := New(0, Config{}, v, i, p)
		if err != nil {
			t.Fatal(err)
		}
		l.ms, l.ps = append(l.ms, m), append(l.ps, p)
		l.sink = append(l.sink, recorder{l, i})
	}
	return l
}

func (l *lab) send(i int, lv order.Level, payload []byte) {
	msg := Message{Group: 7, Level: lv, Size: len(payload)}
	for done := false; !done; {
		var n int
		n, done = l.ms[i].Submit(l.now, msg, payload)
		payload = payload[n:]
		if !done {
			l.turn()
		}
	}
}

// turn flushes everybody and carries all packets over, each in a slab of its own.
func (l *lab) turn() {
	l.carry(func(j int, pkt []byte) {
		ref := l.ps[j].Get()
		copy(l.ps[j].Bytes(ref), pkt)
		l.ms[j].Receive(l.now, ref, 0, len(pkt))
		l.ps[j].Release(ref)
	})
}

// carry flushes everybody and gives what is sent, and not lost, to whom it is for.
func (l *lab) carry(give func(to int, pkt []byte)) {
	l.now += 50_000
	for i, m := range l.ms {
		m.Flush(l.now)
		for _, o := range m.Output() {
			for b := o.Buf; len(b) > 0; {
				k := min(o.Segment, len(b))
				for j := range l.ms {
					if j != i && (o.To == Multicast || o.To == j) && !l.drop(i, j, b[:k]) {
						give(j, b[:k])
					}
				}
				b = b[k:]
			}
		}
		m.Recycle()
	}
	for i, m := range l.ms {
		m.Deliver(l.sink[i], 1<<30)
	}
}

func (l *lab) run(turns int) {
	for range turns {
		l.turn()
	}
}

func (l *lab) same() {
	l.t.Helper()
	for i := range l.got {
		if fmt.Sprint(l.got[i]) != fmt.Sprint(l.got[0]) {
			l.t.Fatalf("member %d delivered\n%v\nmember 0\n%v", i, l.got[i], l.got[0])
		}
	}
}

// TestLocalView: members that are all on one host send packets of another version, whose
// body is not under the checksum, and take no others.
func TestLocalView(t *testing.T) {
	v := testView(2, 1472)
	v.Members[0].Addr = netip.MustParseAddrPort("127.0.0.1:1")
	if v.Local() {
		t.Fatal("a view of two hosts is local")
	}
	v.Members[1].Addr = netip.MustParseAddrPort("127.0.0.2:1")
	m, err := New(0, Config{}, v, 0, slab.NewPool())
	if err != nil {
		t.Fatal(err)
	}
	in := &inlet{m: m, p: m.pool}
	h := wire.Header{Kind: wire.Data, View: m.viewKey, Sender: 1, Seq: 1, Body: 10}
	frame := []byte{24, 0, 2, 0, 0, 0, 0, 0, 'h', 'i'}
	in.receive(0, sealed(h, frame))
	h.Local = true
	b := sealed(h, frame)
	b[wire.HeaderSize+9] = 'a' // the program's own memory may be damaged as well
	in.receive(0, b)
	h.Seq = 2
	b = sealed(h, frame)
	b[16]++
	in.receive(0, b)
	l := &lab{got: make([][]string, 1)}
	m.Deliver(recorder{l, 0}, 10)
	if want := "[[1:fbcast:ha:2]]"; fmt.Sprint(l.got) != want {
		t.Errorf("delivered %v, want %s", l.got, want)
	}
	if st := m.Stats(); st.OtherVersion != 1 || st.BadChecksum != 1 || st.PacketsReceived != 1 {
		t.Errorf("counted %+v, want one of another version, one with a wrong checksum and one received", st)
	}
	if _, done := m.Submit(0, Message{Size: 2}, []byte("ho")); !done {
		t.Fatal("the window is closed")
	}
	m.Flush(0)
	for _, o := range m.Output() {
		if h, err := wire.Parse(o.Buf); err != nil || !h.Local || !wire.Verify(o.Buf) {
			t.Errorf("sent %+v, %v", h, err)
		}
	}
	if len(m.Output()) == 0 {
		t.Error("nothing was sent")
	}
}

func TestEveryLevelIsDeliveredEverywhere(t *testing.T) {
	for _, lv := range []order.Level{order.FIFO, order.Causal, order.Total, order.FIFO.Safe(), order.Causal.Safe(), order.Total.Safe(), order.Total.SafeAll()} {
		for _, size := range []int{0, 5, 1000, 100_000, 3_000_000} {
			t.Run(fmt.Sprint(lv, size), func(t *testing.T) {
				l := newLab(t, 3, 1472)
				for k := range 3 {
					for i := range 3 {
						l.send(i, lv, append(fmt.Appendf(nil, "%d", k), make([]byte, size)...))
					}
				}
				l.run(400)
				for i := range 3 {
					if len(l.got[i]) != 9 {
						t.Fatalf("member %d delivered %d of 9: %v", i, len(l.got[i]), l.got[i])
					}
				}
				if lv.Order() == order.Total {
					l.same()
				}
			})
		}
	}
}

func TestLossIsRepaired(t *testing.T) {
	l := newLab(t, 3, 1472)
	k := 0
	l.drop = func(from, to int, pkt []byte) bool { k++; return k%7 == 0 && k < 5000 }
	for i := range 2000 {
		l.send(i%3, order.Total, binary.LittleEndian.AppendUint64(nil, uint64(i)))
		if i%10 == 0 {
			l.turn()
		}
	}
	l.run(10000)
	if len(l.got[0]) != 2000 {
		t.Fatalf("member 0 delivered %d of 2000", len(l.got[0]))
	}
	l.same()
	for i, p := range l.ps {
		if p.Live() > 2 {
			t.Errorf("member %d still holds %d slabs", i, p.Live())
		}
	}
}

// TestTrainLosesOnlyItsBadPackets: damage to one packet of a train is not the others'.
func TestTrainLosesOnlyItsBadPackets(t *testing.T) {
	l := newLab(t, 2, 1472)
	payload := make([]byte, 60_000)
	l.send(0, order.FIFO, payload)
	l.ms[0].Flush(l.now)
	for _, o := range l.ms[0].Output() {
		ref := l.ps[1].Get()
		n := copy(l.ps[1].Bytes(ref), o.Buf)
		packets := uint64((n + o.Segment - 1) / o.Segment)
		l.ps[1].Bytes(ref)[3*o.Segment+100] ^= 1
		l.ms[1].ReceiveTrain(l.now, ref, 0, n, o.Segment)
		if st := l.ms[1].Stats(); st.PacketsReceived != packets-1 || st.BadChecksum != 1 || packets < 40 {
			t.Errorf("of %d packets %d received, %d damaged; want all but one", packets, st.PacketsReceived, st.BadChecksum)
		}
		l.ps[1].Release(ref)
	}
	l.ms[0].Recycle()
	l.run(1000)
	if len(l.got[1]) != 1 {
		t.Errorf("delivered %d messages after repair, want 1", len(l.got[1]))
	}
}

type counter struct{ n, bytes int }

func (c *counter) Deliver(d *Delivery) bool { c.n++; c.bytes += len(d.Payload); return true }

// BenchmarkTurn sends a window's worth through three machines per turn: the
// engine's own work, all three members on one core.
func BenchmarkTurn(b *testing.B) {
	for _, lv := range []order.Level{order.FIFO, order.Causal, order.Total, order.Total.Safe()} {
		for _, seg := range []int{1472, 65000} {
			for _, size := range []int{64, 1024} {
				b.Run(fmt.Sprint(lv, "/", seg, "/", size), func(b *testing.B) {
					l := newLab(b, 3, seg)
					c := &counter{}
					for i := range l.sink {
						l.sink[i] = c
					}
					payload := bytes.Repeat([]byte{1}, size)
					msg := Message{Level: lv, Size: size}
					b.ReportAllocs()
					b.SetBytes(int64(size))
					for i := 0; i < b.N; i++ {
						for {
							if _, done := l.ms[0].Submit(l.now, msg, payload); done {
								break
							}
							l.turnShared()
						}
						if i%1024 == 0 {
							l.turnShared()
						}
					}
					l.run(100)
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(l.ms[0].Stats().PacketsSent), "ns/packet")
				})
			}
		}
	}
}

// turnShared is turn with trains received whole, as GRO does.
func (l *lab) turnShared() {
	l.now += 50_000
	for i, m := range l.ms {
		m.Flush(l.now)
		for _, o := range m.Output() {
			for j := range l.ms {
				if j == i || o.To != Multicast && o.To != j {
					continue
				}
				ref := l.ps[j].Get()
				k := copy(l.ps[j].Bytes(ref), o.Buf)
				for off := 0; off < k; off += o.Segment {
					l.ms[j].Receive(l.now, ref, off, min(o.Segment, k-off))
				}
				l.ps[j].Release(ref)
			}
		}
		m.Recycle()
	}
	for i, m := range l.ms {
		m.Deliver(l.sink[i], 1<<30)
	}
}

// TestDetachedOutputStays: what has been detached can be sent when the view has ended and
// its memory has been given back.
func TestDetachedOutputStays(t *testing.T) {
	pool := slab.NewPool()
	m, err := New(0, Config{}, testView(2, 1472), 0, pool)
	if err != nil {
		t.Fatal(err)
	}
	m.Submit(0, Message{Group: 7, Level: order.FIFO, Size: 100}, make([]byte, 100))
	m.Flush(0)
	out := append([]Out(nil), m.Output()...)
	before := append([]byte(nil), out[0].Buf...)
	refs := m.Detach(nil)
	if len(m.Output()) != 0 || len(refs) != len(out) {
		t.Fatalf("%d slabs and %d trains are left of %d", len(refs), len(m.Output()), len(out))
	}
	m.Release()
	other := pool.Get() // who gets memory now writes to it
	clear(pool.Bytes(other))
	if string(out[0].Buf) != string(before) {
		t.Error("the output has been overwritten")
	}
	for _, ref := range append(refs, other) {
		pool.Release(ref)
	}
	if pool.Live() != 0 {
		t.Errorf("%d slabs are held", pool.Live())
	}
}
