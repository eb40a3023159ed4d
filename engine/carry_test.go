package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"cohort/batch"
	"cohort/iomulticast"
	"cohort/membership"
	"cohort/wire"
)

func fanout(_ int, c *Config) { c.Transport = Fanout }

// TestFanOutKeepsEveryOrder, with packets lost and repeated too.
func TestFanOutKeepsEveryOrder(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			nodes := checkOrders(t, allLevels, scaled(3000), 2000, func(i int, c *Config) {
				fanout(i, c)
				if loss > 0 {
					c.Segment = 1400
					c.Faults = iomulticast.Faults{Loss: loss, Duplicate: loss, Seed: uint64(i)}
				}
			})
			for i, n := range nodes {
				s := n.Stats()
				if s.TrainsCopied == 0 || loss > 0 && s.Retransmitted+s.Repaired == 0 {
					t.Errorf("node %d: %d trains copied, %d packets sent again, %d repaired", i, s.TrainsCopied, s.Retransmitted, s.Repaired)
				}
				if f := n.Features().Multicast; f.On || f.Why == "" {
					t.Errorf("node %d: multicast %v, want off and why", i, f)
				}
			}
		})
	}
}

// TestFanOutSendsTheGroupNothing but beacons.
func TestFanOutSendsTheGroupNothing(t *testing.T) {
	group := netip.MustParseAddrPort("239.255.77.3:20177")
	conn, err := iomulticast.Open(iomulticast.Config{Interface: "lo", Group: group})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	checkOrders(t, allLevels, 300, 60, func(i int, c *Config) { fanout(i, c); c.Group = group })
	buf := newBuffers(16)
	beacons := 0
	for {
		n, err := conn.RecvMulticast(buf.reset())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		for _, tr := range buf.trains[:n] {
			h, err := wire.Parse(tr.Buf)
			if err != nil || h.Kind != wire.Here && h.Kind != wire.Ring {
				t.Fatalf("a packet of kind %d went to the group: %v", h.Kind, err)
			}
			beacons++
		}
	}
	if beacons == 0 {
		t.Error("not even a beacon went to the group: this test hears nothing")
	}
}

// TestTransportsMix: members of one ring need not use the same.
func TestTransportsMix(t *testing.T) {
	how := []Transport{Auto, Multicast, Fanout}
	nodes := checkOrders(t, allLevels, scaled(3000), 60, func(i int, c *Config) { c.Transport = how[i] })
	if s := nodes[1].Stats(); s.TrainsCopied != 0 {
		t.Errorf("multicast: %d trains were copied", s.TrainsCopied)
	}
	if s := nodes[2].Stats(); s.TrainsCopied == 0 {
		t.Error("fan-out: no train was copied")
	}
}

// TestCopiesEndWhereMulticastArrives: by default there are copies only until the
// others have said that they hear.
func TestCopiesEndWhereMulticastArrives(t *testing.T) {
	nodes := openRing(t, 3, func(_ int, c *Config) { c.Timeout = time.Second })
	eventually(t, "nobody gets copies", func() bool {
		for _, n := range nodes {
			if n.Stats().FannedOut != 0 {
				return false
			}
		}
		return true
	})
	for i, n := range nodes {
		if f := n.Features().Multicast; !f.On {
			t.Errorf("node %d: multicast %v", i, f)
		}
	}
	var got atomic.Int64
	groups := joinAll(t, nodes, "copies", func(int) Handler { return HandlerFunc(func(*Message) { got.Add(1) }) })
	before := nodes[0].Stats()
	for range 1000 {
		if err := groups[0].Send(patient(t), Total, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "delivery", func() bool { return got.Load() == 3000 })
	after := nodes[0].Stats()
	if after.TrainsCopied != before.TrainsCopied || after.TrainsSent == before.TrainsSent {
		t.Errorf("of %d trains %d were copies", after.TrainsSent-before.TrainsSent, after.TrainsCopied-before.TrainsCopied)
	}
}

// TestFanOutFollowsTheView: one dies, another comes, and what is sent reaches who is
// there; a joiner gets the state.
func TestFanOutFollowsTheView(t *testing.T) {
	cluster := clusterOf(t)
	change := func(c *Config) { c.Transport, c.Timeout = Fanout, 300*time.Millisecond }
	nodes := make([]*Node, 3)
	ledgers := make([]*ledger, 4)
	groups := make([]*Group, 4)
	enter := func(i int, n *Node) {
		t.Helper()
		ledgers[i] = &ledger{}
		g, err := n.Join(patient(t), "views", ledgers[i])
		if err != nil {
			t.Fatal(err)
		}
		groups[i] = g
	}
	for i := range nodes {
		nodes[i] = open(t, cluster, fmt.Sprint("node", i), change)
		enter(i, nodes[i])
	}
	allJoined(t, groups[:3])
	send := func(i, k int) {
		t.Helper()
		if err := groups[i].Send(patient(t), allLevels[k%len(allLevels)], fmt.Appendf(nil, "%d.%d", i, k)); err != nil {
			t.Fatal(err)
		}
	}
	for k := range 100 {
		send(1, k)
	}
	sameLedgers(t, 100, false, ledgers[:3]...)
	die(nodes[0])
	eventually(t, "the view without the dead", func() bool { return nodes[1].Stats().FannedOut == 1 && nodes[2].Stats().FannedOut == 1 })
	for k := range 100 {
		send(2, k)
	}
	late := open(t, cluster, "late", change)
	enter(3, late)
	eventually(t, "copies for two", func() bool { return nodes[1].Stats().FannedOut == 2 && late.Stats().FannedOut == 2 })
	for k := range 100 {
		send(3, k)
	}
	sameLedgers(t, 300, false, ledgers[1:]...)
}

// TestAddressesOfOneMember: others say what theirs is, and a lie must not end a node
// or have it flood a network.
func TestAddressesOfOneMember(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1:7000": true, "10.1.2.3:1": true, "[::ffff:10.1.2.3]:1": true,
		"127.0.0.1:0": false, "0.0.0.0:7000": false, "239.1.2.3:7000": false, "255.255.255.255:7000": false, "[fe80::1]:7000": false,
	} {
		if got := addressable(netip.MustParseAddrPort(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if addressable(netip.AddrPort{}) {
		t.Error("no address at all is taken for one")
	}
}

// TestALiarGetsNoCopies: a node goes on though a member has an address that nobody can.
func TestALiarGetsNoCopies(t *testing.T) {
	nodes := openRing(t, 3, fanout)
	n := nodes[0]
	liar := nodes[1].Rank()
	n.mu.Lock()
	v := n.proc.Site().View()
	v.Members[liar].Addr = netip.AddrPortFrom(v.Members[liar].Addr.Addr(), 0)
	n.outbox.peers = nil
	n.carrier.address(v, n.carrier.reach.Copies(), &n.outbox)
	n.mu.Unlock()
	if err := n.conn.Wake(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "copies for one only", func() bool { return n.Stats().FannedOut == 1 })
}

// buffers is memory to receive into.
type buffers struct {
	memory [][]byte
	trains []batch.Train
}

func newBuffers(n int) *buffers {
	b := &buffers{trains: make([]batch.Train, n)}
	for range n {
		b.memory = append(b.memory, make([]byte, 1<<16))
	}
	return b
}

func (b *buffers) reset() []batch.Train {
	for i := range b.trains {
		b.trains[i].Buf = b.memory[i]
	}
	return b.trains
}

// TestCopiesAreTheSameMemory: one train for each who gets copies, next to each other, so
// that they leave in one system call, and nothing is allocated for them.
func TestCopiesAreTheSameMemory(t *testing.T) {
	v := membership.View{}
	for i := range 4 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), 7400)
		v.Members = append(v.Members, membership.Member{ID: uint64(i + 1), Addr: addr})
	}
	for how, want := range map[Transport][]string{
		Multicast: {"group"}, Fanout: {"127.0.0.1:7400", "127.0.0.3:7400", "127.0.0.4:7400"}, Auto: {"group", "127.0.0.3:7400"},
	} {
		var c carrier
		var o outbox
		c.init(Config{Transport: how, Timeout: time.Second})
		c.reach.View(0, v, 1)
		c.reach.Says(0, 1, true)
		c.reach.Says(0, 4, true)
		c.address(v, c.reach.Copies(), &o)
		buf, trains := make([]byte, 100), make([]batch.Train, 0, 8)
		if n := testing.AllocsPerRun(10, func() { trains = c.append(0, trains[:0], batch.Train{Buf: buf, Segment: 50}) }); n != 0 {
			t.Errorf("%v: %v allocations", how, n)
		}
		var got []string
		for _, tr := range trains {
			if &tr.Buf[0] != &buf[0] || len(tr.Buf) != len(buf) || tr.Segment != 50 {
				t.Errorf("%v: a train of %d bytes in packets of %d, want what was given", how, len(tr.Buf), tr.Segment)
			}
			to := "group"
			if tr.To != nil {
				to = tr.To.AddrPort().String()
			}
			got = append(got, to)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: trains to %v, want %v", how, got, want)
		}
	}
}
