package control

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. It is no measurement.
const patience = 20 * time.Second

// node is a mesh with a loop's half: events that were polled and not yet asked for.
type node struct {
	*Mesh
	t     testing.TB
	bell  chan struct{}
	ahead []Event
}

func open(t testing.TB, id uint64, change ...func(*Config)) *node {
	t.Helper()
	n := &node{t: t, bell: make(chan struct{}, 1)}
	cfg := Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Cluster: 7, Wake: func() {
		select {
		case n.bell <- struct{}{}:
		default:
		}
	}}
	for _, f := range change {
		f(&cfg)
	}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Mesh = m
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	if id != 0 {
		m.Identify(id)
	}
	return n
}

// next returns the next event, and relies on Wake alone to learn of it.
func (n *node) next() Event {
	n.t.Helper()
	deadline := time.After(patience)
	for len(n.ahead) == 0 {
		if n.ahead = n.Poll(n.ahead); len(n.ahead) > 0 {
			break
		}
		select {
		case <-n.bell:
		case <-deadline:
			n.t.Fatal("nothing happens")
		}
	}
	e := n.ahead[0]
	n.ahead = n.ahead[1:]
	return e
}

func (n *node) want(kind EventKind, peer uint64) Event {
	n.t.Helper()
	e := n.next()
	if e.Kind != kind || e.Peer != peer || (e.Err != nil) != (kind == Disconnected) {
		n.t.Fatalf("event %d of %d with %d bytes, error %v; want event %d of %d", e.Kind, e.Peer, len(e.Body), e.Err, kind, peer)
	}
	return e
}

func (n *node) wantErr(peer uint64, target error) {
	n.t.Helper()
	if e := n.want(Disconnected, peer); !errors.Is(e.Err, target) {
		n.t.Fatalf("error %v, want %v", e.Err, target)
	}
}

func (n *node) wantBody(peer uint64, body string) {
	n.t.Helper()
	if e := n.want(Received, peer); string(e.Body) != body {
		n.t.Fatalf("got %.80q, want %.80q", e.Body, body)
	}
}

// quiet asserts that nothing is left to poll.
func (n *node) quiet() {
	n.t.Helper()
	if e := n.Poll(n.ahead); len(e) > 0 {
		n.t.Fatalf("%d events, the first %+v; want none", len(e), e[0])
	}
}

// pair returns nodes 1 and 2, connected by a dial of node 1.
func pair(t testing.TB, change ...func(*Config)) (a, b *node) {
	t.Helper()
	a, b = open(t, 1, change...), open(t, 2, change...)
	a.Dial(2, b.Addr())
	a.want(Connected, 2)
	b.want(Connected, 1)
	return a, b
}

// rawDial connects without the package's help, as peer id 1 would.
func rawDial(t testing.TB, n *node) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func write(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// rawPeer is rawDial and the handshake.
func rawPeer(t testing.TB, n *node, attempt uint64) *net.TCPConn {
	t.Helper()
	c := rawDial(t, n)
	write(t, c, hello{kind: kindPeer, cluster: 7, from: 1, to: 2, attempt: attempt}.encode())
	if a, err := readAnswer(c); err != nil || a.verdict != accepted {
		t.Fatalf("answer %+v, error %v", a, err)
	}
	return c
}
