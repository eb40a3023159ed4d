package engine

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/batch"
	"cohort/groups"
	"cohort/iomulticast"
	"cohort/wire"
)

// attacker hears a ring's multicast and sends what it should not to the group
// and to single nodes.
type attacker struct {
	t       *testing.T
	conn    *iomulticast.Conn
	rand    *rand.Rand
	targets atomic.Pointer[[]batch.Addr]
	sealed  atomic.Bool // checksums are right, as if a member's own code were broken
	samples [][]byte
	sent    atomic.Int64
	trains  []batch.Train
}

func startAttacker(t *testing.T, group netip.AddrPort) *attacker {
	conn, err := iomulticast.Open(iomulticast.Config{Interface: "lo", Group: group, RecvBuffer: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{t: t, conn: conn, rand: rand.New(rand.NewPCG(1, 2)), trains: make([]batch.Train, 4)}
	a.targets.Store(&[]batch.Addr{batch.MakeAddr(group)})
	for i := range a.trains {
		a.trains[i].Buf = make([]byte, 1<<16)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { a.run(stop) })
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *attacker) run(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		a.listen()
		for range 10 {
			a.attack()
		}
	}
}

// listen keeps some of the packets that pass by.
func (a *attacker) listen() {
	for i := range a.trains {
		a.trains[i].Buf = a.trains[i].Buf[:1<<16]
	}
	n, err := a.conn.RecvMulticast(a.trains)
	if err != nil {
		a.t.Error(err)
	}
	for _, tr := range a.trains[:n] {
		for p := range slices.Chunk(tr.Buf, max(tr.Segment, 1)) {
			if len(p) > 2000 || a.rand.IntN(4) > 0 && len(a.samples) > 10 {
				continue
			}
			if len(a.samples) < 200 {
				a.samples = append(a.samples, slices.Clone(p))
			} else {
				a.samples[a.rand.IntN(len(a.samples))] = slices.Clone(p)
			}
		}
	}
}

func (a *attacker) attack() {
	targets := *a.targets.Load()
	p := a.packet()
	if len(p) == 0 {
		return
	}
	tr := batch.Train{Buf: p, Segment: len(p), To: &targets[a.rand.IntN(len(targets))]}
	if len(p) > 200 && a.rand.IntN(5) == 0 {
		tr.Segment = max(len(p)/(1+a.rand.IntN(40)), 16)
	}
	if _, err := a.conn.Send([]batch.Train{tr}); err != nil && err != batch.ErrAgain {
		a.t.Error(err)
	}
	a.sent.Add(1)
}

// packet makes something hostile.
func (a *attacker) packet() []byte {
	if len(a.samples) == 0 || a.rand.IntN(4) == 0 {
		return a.noise()
	}
	p := slices.Clone(a.samples[a.rand.IntN(len(a.samples))])
	for range 1 + a.rand.IntN(4) {
		at := a.rand.IntN(len(p))
		if a.rand.IntN(2) == 0 {
			at %= wire.HeaderSize // the fields that matter most
		}
		p[at] ^= 1 << a.rand.IntN(8)
	}
	switch a.rand.IntN(4) {
	case 0:
		p = p[:1+a.rand.IntN(len(p))]
	case 1:
		p = append(p, a.noise()...)
	}
	if len(p) < wire.Overhead {
		return p
	}
	if !a.sealed.Load() { // intact, but of another cluster, version or view
		at := []int{2, 4, 5, 6, 7, 8, 12, 15}
		if wire.Kind(p[3]) > wire.NAK { // those belong to no view
			at = at[:5]
		}
		p[at[a.rand.IntN(len(at))]] ^= byte(1 + a.rand.IntN(255))
	}
	if a.rand.IntN(2) == 0 {
		wire.Seal(p)
	}
	return p
}

func (a *attacker) noise() []byte {
	p := make([]byte, a.rand.IntN(1500))
	for i := range p {
		p[i] = byte(a.rand.Uint32())
	}
	if len(p) >= wire.Overhead && a.rand.IntN(2) == 0 {
		wire.PutHeader(p, wire.Header{
			Kind: wire.Kind(a.rand.IntN(10)), Cluster: a.rand.Uint32(), Seq: a.rand.Uint64(),
			Sender: byte(a.rand.IntN(4)), Flags: byte(a.rand.IntN(16)), Body: a.rand.IntN(len(p)),
		})
		wire.Seal(p)
	}
	return p
}

// TestHostilePackets sends garbage, and damaged copies of the ring's own packets,
// while the ring forms and works: it must not notice. Then it sends packets that
// are damaged and have a right checksum, as only a broken member could: the ring
// may then fail, but no node may panic, hang or take memory without end.
func TestHostilePackets(t *testing.T) {
	group := netip.MustParseAddrPort(fmt.Sprintf("239.255.78.%d:%d", 1+rand.N(250), 20000+rand.N(9000)))
	a := startAttacker(t, group)
	nodes := openRing(t, 3, func(_ int, c *Config) { c.Group = group })
	var targets []batch.Addr
	for _, n := range nodes {
		targets = append(targets, batch.MakeAddr(group), batch.MakeAddr(n.conn.Addr()))
	}
	a.targets.Store(&targets)
	var hurt atomic.Bool // from here on anything may be delivered
	var got [3][3]atomic.Int64
	groups := joinAll(t, nodes, "target", func(i int) Handler {
		return HandlerFunc(func(m *Message) {
			if hurt.Load() {
				return
			}
			n := got[i][m.Sender].Add(1) - 1
			if binary.LittleEndian.Uint64(m.Payload) != uint64(n) {
				t.Errorf("member %d: message %d of %d comes after %d", i, binary.LittleEndian.Uint64(m.Payload), m.Sender, n)
			}
		})
	})
	many := scaled(300)
	for k := range many {
		for i, g := range groups {
			if err := g.Send(patient(t), allLevels[(k+i)%len(allLevels)], numbered(k, 50+k%1500)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	for i := range got {
		for of := range got {
			eventually(t, "all delivered", func() bool { return got[i][of].Load() == int64(many) })
		}
	}
	bad := func() (n uint64) {
		s := nodes[0].Stats()
		return s.BadPackets + s.OtherCluster + s.OtherVersion + s.OtherView
	}
	eventually(t, "the attack was noticed", func() bool { return bad() > 100 })

	hurt.Store(true)
	a.sealed.Store(true)
	from := a.sent.Load()
	for k := 0; a.sent.Load() < from+int64(scaled(3000)); k++ {
		_ = groups[k%3].TrySend(allLevels[k%len(allLevels)], numbered(k, 50+k%1500)) // full in the end, if rows lie
		time.Sleep(time.Millisecond)
	}
	for i, n := range nodes {
		if b := n.Stats().SlabBytes; b > 512<<20 {
			t.Errorf("member %d has %d bytes of packets", i, b)
		}
	}
	start := time.Now()
	closeAll(t, nodes)
	if took := time.Since(start); took > closeDrain+2*time.Second {
		t.Errorf("closing took %v", took)
	}
}

// lender is a stateful handler that counts its snapshots, and those that are closed.
type lender struct {
	ledger
	taken, closed atomic.Int64
}

func (h *lender) Snapshot() (io.ReadCloser, error) {
	h.taken.Add(1)
	r, err := h.ledger.Snapshot()
	return &lent{r, h}, err
}

type lent struct {
	io.ReadCloser
	h *lender
}

func (l *lent) Close() error { l.h.closed.Add(1); return l.ReadCloser.Close() }

// TestHostileSerials: a member names two transfers alike, as only a broken one could. The
// donor goes on, and no snapshot is kept longer than is promised.
func TestHostileSerials(t *testing.T) {
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprint("queued ", queued), func(t *testing.T) {
			nodes := byAge(openRing(t, 2, nil))
			h := &lender{}
			var donor Handler = h
			if queued {
				donor = Queued(h, 0)
			}
			if _, err := nodes[0].Join(patient(t), "g", donor); err != nil {
				t.Fatal(err)
			}
			if _, err := nodes[1].Join(patient(t), "g", &ledger{}); err != nil {
				t.Fatal(err)
			}
			const many = 5
			for range many {
				if err := nodes[1].sendOp(patient(t), groups.Op{Kind: groups.Restart, Name: "g", Serial: 7}, nil); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all snapshots are taken", func() bool { return h.taken.Load() == 1+many })
			eventually(t, "all but the last are closed", func() bool { return h.closed.Load() == many })
			closeAll(t, nodes)
			if n := h.closed.Load(); n != 1+many {
				t.Errorf("%d snapshots have been closed %d times", 1+many, n)
			}
		})
	}
}
