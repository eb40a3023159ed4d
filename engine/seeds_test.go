package engine

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"cohort/internal/freeport"
	"cohort/membership"
	"cohort/wire"
)

// outsider is a socket at which a node may look for others.
type outsider struct {
	t    *testing.T
	conn *net.UDPConn
	addr netip.AddrPort
}

func newOutsider(t *testing.T) outsider {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it was only read
	return outsider{t, conn, netip.MustParseAddrPort(conn.LocalAddr().String())}
}

// hears waits for a beacon of this kind.
func (o outsider) hears(kind wire.Kind) membership.Beacon {
	o.t.Helper()
	b := make([]byte, 2000)
	_ = o.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := o.conn.Read(b)
		if err != nil {
			o.t.Fatalf("no beacon of kind %d: %v", kind, err)
		}
		h, err := wire.Parse(b[:n])
		if err != nil || h.Kind != kind || !wire.Verify(b[:n]) {
			continue
		}
		bc, err := membership.ParseBeacon(h.Kind, b[wire.HeaderSize:wire.HeaderSize+h.Body])
		if err != nil {
			o.t.Fatal(err)
		}
		return bc
	}
}

// TestSeedsAreTold: a node says that it looks for a ring, and later that there is
// one, also where multicast does not reach; names are resolved.
func TestSeedsAreTold(t *testing.T) {
	o := newOutsider(t)
	_, port, _ := net.SplitHostPort(o.addr.String())
	n := open(t, clusterOf(t), "seeking", func(c *Config) { c.Seeds = []string{"localhost:" + port} })
	if b := o.hears(wire.Here); b.From.Name != "seeking" || b.From.Addr != n.conn.Addr() || b.From.Control != n.mesh.Addr() {
		t.Errorf("beacon %+v, want that of the node", b)
	}
	if b := o.hears(wire.Ring); b.Size != 1 || b.Key != n.View().Key() {
		t.Errorf("beacon %+v, want that of the ring", b)
	}
}

// TestCallersAreAnswered: who asks a member by unicast is answered by unicast.
func TestCallersAreAnswered(t *testing.T) {
	n := open(t, clusterOf(t), "there", nil)
	o := newOutsider(t)
	from := n.View().Members[0]
	from.ID, from.Name, from.Addr = newID(), "caller", o.addr
	ask(t, o, n, from)
	if b := o.hears(wire.Ring); b.From.Name != "there" {
		t.Errorf("beacon %+v, want the member's", b)
	}
}

// TestPortIsKept: seeds need one that is known beforehand.
func TestPortIsKept(t *testing.T) {
	p, err := freeport.Reserve(netip.MustParseAddr("127.0.0.1"))
	if err == nil {
		err = p.Release()
	}
	if err != nil {
		t.Fatal(err)
	}
	n := open(t, clusterOf(t), "fixed", func(c *Config) { c.Port = p.Number })
	if n.conn.Addr().Port() != uint16(p.Number) || n.mesh.Addr().Port() != uint16(p.Number) {
		t.Errorf("ports %d and %d, want %d for both planes", n.conn.Addr().Port(), n.mesh.Addr().Port(), p.Number)
	}
}
