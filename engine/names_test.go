package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"cohort/batch"
	"cohort/internal/freeport"
	"cohort/internal/transcript"
	"cohort/membership"
	"cohort/wire"
)

// nameServer answers questions for IPv4 addresses, over UDP and TCP as a real one does
// where an answer is too long for the one.
type nameServer struct {
	t     *testing.T
	mu    sync.Mutex
	addrs []netip.Addr // of every name; none: there is no such name
}

// startNames has this process ask a name server of its own.
func startNames(t *testing.T, addrs ...netip.Addr) *nameServer {
	s := &nameServer{t: t, addrs: addrs}
	port, err := freeport.Reserve(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.serveUDP(port.UDP) })
	wg.Go(func() { s.serveTCP(port.TCP) })
	before, where := net.DefaultResolver, port.TCP.Addr().String()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, where)
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = port.Release()
		wg.Wait()
	})
	return s
}

func (s *nameServer) set(addrs ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = addrs
}

func (s *nameServer) serveUDP(conn net.PacketConn) {
	b := make([]byte, 2000)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(s.answer(b[:n], 512), from) // else it is asked again
	}
}

func (s *nameServer) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 2000)
		if n, _ := conn.Read(b); n > 2 {
			a := s.answer(b[2:n], 1<<16)
			_, _ = conn.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...)) // likewise
		}
		_ = conn.Close()
	}
}

func (s *nameServer) answer(query []byte, most int) []byte {
	var q dnsmessage.Message
	if err := q.Unpack(query); err != nil || len(q.Questions) != 1 {
		s.t.Errorf("a question that is none: %v", err)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true}, Questions: q.Questions}
	if len(s.addrs) == 0 {
		a.RCode = dnsmessage.RCodeNameError
	}
	for _, ip := range s.addrs {
		h := dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 1}
		a.Answers = append(a.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}})
	}
	b, err := a.Pack()
	if err == nil && len(b) > most {
		a.Answers, a.Truncated = nil, true
		b, err = a.Pack()
	}
	if err != nil {
		s.t.Error(err)
	}
	return b
}

func hosts(n int) (list []netip.Addr) {
	for i := range n {
		list = append(list, netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}))
	}
	return list
}

func texts(list []batch.Addr) (out []string) {
	for _, a := range list {
		out = append(out, a.AddrPort().String())
	}
	return out
}

// TestANameOfManyAddresses, as a headless service's is: all are told, each once, and at
// most so many.
func TestANameOfManyAddresses(t *testing.T) {
	for _, n := range []int{1, 3, 60, 90} { // the last two do not fit one datagram
		startNames(t, append(hosts(n), hosts(1)...)...)
		var s seeds
		s.start([]string{"members.example:7400"}, slog.Default())
		want := min(n, maxSeeds)
		eventually(t, "the addresses of the name", func() bool { return len(s.list()) == want })
		got := texts(s.list())
		s.stop()
		for i := range want {
			if k := fmt.Sprintf("127.1.0.%d:7400", i); got[i] != k {
				t.Errorf("%d addresses: address %d is %s, want %s", n, i, got[i], k)
			}
		}
	}
}

// TestNamesChange: addresses that come to a name are found, those that go are not told
// any more, and what a name stood for is kept while nobody can say.
func TestNamesChange(t *testing.T) {
	names := startNames(t)
	log := &transcript.Transcript{}
	var s seeds
	s.start([]string{"members.example:7400", "127.9.9.9:1"}, slog.New(slog.NewTextHandler(log, nil)))
	defer s.stop()
	has := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprint(want), func() bool { return slices.Equal(texts(s.list()), want) })
	}
	has("127.9.9.9:1")
	names.set(hosts(2)...)
	has("127.1.0.0:7400", "127.1.0.1:7400", "127.9.9.9:1")
	names.set(hosts(1)...)
	has("127.1.0.0:7400", "127.9.9.9:1")
	names.set()
	eventually(t, "a second complaint", func() bool { return strings.Count(log.String(), "cannot be resolved") == 2 })
	has("127.1.0.0:7400", "127.9.9.9:1")
}

// ask says Here to a member by unicast, as one does that knows no other.
func ask(t *testing.T, o outsider, n *Node, from membership.Member) {
	t.Helper()
	p := membership.Beacon{Kind: wire.Here, From: from}.Append(make([]byte, wire.HeaderSize))
	wire.PutHeader(p, wire.Header{Kind: wire.Here, Cluster: n.cfg.clusterID(), Body: len(p) - wire.HeaderSize})
	p = append(p, make([]byte, wire.SumSize)...)
	wire.Seal(p)
	if _, err := o.conn.WriteToUDPAddrPort(p, n.conn.Addr()); err != nil {
		t.Fatal(err)
	}
}

// TestAnyMemberIsEnough: who knows the address of a member that does not lead, and hears
// no multicast, hears from the leader all the same.
func TestAnyMemberIsEnough(t *testing.T) {
	nodes := byAge(openRing(t, 3, nil))
	o := newOutsider(t)
	from := nodes[2].View().Members[2]
	from.ID, from.Name, from.Addr = newID(), "caller", o.addr
	ask(t, o, nodes[2], from)
	if b := o.hears(wire.Ring); b.From.ID != nodes[0].View().Members[0].ID {
		t.Errorf("%s answers, want the leader", b.From.Name)
	}
}

// TestOnlyWhatComesStraightIsPassedOn: a beacon whose sender is another than it says is
// not, or two members could send each other one for ever.
func TestOnlyWhatComesStraightIsPassedOn(t *testing.T) {
	nodes := byAge(openRing(t, 2, nil))
	o, other := newOutsider(t), newOutsider(t)
	from := nodes[1].View().Members[1]
	from.ID, from.Name, from.Addr = newID(), "caller", other.addr
	ask(t, o, nodes[1], from)
	_ = other.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // the member itself answers nobody: it does not lead
	if n, err := other.conn.Read(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes came", n)
	}
}
