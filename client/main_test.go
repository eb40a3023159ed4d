package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/client/gateway"
	"cohort/engine"
	"cohort/internal/freeport"

	"go.uber.org/goleak"
)

// TestMain fails the package if a goroutine outlives its client or its node.
func TestMain(m *testing.M) {
	beMember() // does not return if this is a process that a test has started as a member
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what should happen soon.
const patience = 30 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// replica is an application: it keeps what it was given, and answers questions by
// repeating them after its name.
type replica struct {
	name string
	mute bool // it does not answer

	counts bool // it keeps nothing
	count  atomic.Int64

	mu      sync.Mutex
	applied []string
	views   int
}

func (r *replica) Deliver(m *engine.Message) {
	if r.count.Add(1); r.counts {
		return
	}
	r.mu.Lock()
	r.applied = append(r.applied, string(m.Payload))
	r.mu.Unlock()
	if m.Asked() && !r.mute {
		_ = m.Reply(fmt.Appendf(nil, "%s: %s", r.name, m.Payload)) // the client may be done with it
	}
}

func (r *replica) View(engine.GroupView) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.views++
}

// Snapshot and Restore: each string after its length.
func (r *replica) Snapshot() (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b []byte
	for _, s := range r.applied {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (r *replica) Restore(from io.Reader) error {
	b, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = nil
	for len(b) > 0 {
		k, n := binary.Uvarint(b)
		r.applied = append(r.applied, string(b[n:n+int(k)]))
		b = b[n+int(k):]
	}
	return nil
}

func (r *replica) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.applied)
}

// place is a member that serves clients at an address of its own.
type place struct {
	t       testing.TB
	cluster string
	name    string
	cfg     gateway.Config
	plain   bool // its handler has no state
	counts  bool // it keeps nothing
	queued  bool
	tls     *tls.Config
	addr    string
	node    *engine.Node
	gate    *gateway.Server
	group   *gateway.Group
	replica *replica
	serving sync.WaitGroup
	down    bool
}

// open opens the member, again if it has been closed.
func (p *place) open(expect int) {
	ctx := patient(p.t)
	var err error
	logger := slog.New(slog.NewTextHandler(p.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	p.node, err = engine.Open(ctx, engine.Config{Cluster: p.cluster, Name: p.name, Interface: "lo", Expect: expect, Timeout: 5 * time.Second, Logger: logger})
	if err != nil {
		p.t.Error(err)
		return
	}
	p.cfg.Logger = logger
	if p.gate, err = gateway.New(p.node, p.cfg); err != nil {
		p.t.Error(err)
		return
	}
	p.replica = &replica{name: p.name, counts: p.counts}
	h := engine.Handler(p.replica)
	if p.plain {
		h = engine.HandlerFunc(p.replica.Deliver)
	}
	if p.queued {
		p.group, err = p.gate.JoinQueued(ctx, "orders", h, 0)
	} else {
		p.group, err = p.gate.Join(ctx, "orders", h)
	}
	if err != nil {
		p.t.Error(err)
		return
	}
	p.listen()
}

// listen takes clients, at the same address as before.
func (p *place) listen() {
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Error(err)
		return
	}
	if p.tls != nil {
		l = tls.NewListener(l, p.tls)
	}
	gate := p.gate
	p.serving.Go(func() {
		if err := gate.Serve(l); err != gateway.ErrClosed {
			p.t.Errorf("Serve: %v, want ErrClosed", err)
		}
	})
}

// close closes the node, and then the gateway; crash has the node fail.
func (p *place) close() { p.end((*engine.Node).Close) }

func (p *place) crash() { p.end((*engine.Node).Abandon) }

func (p *place) end(how func(*engine.Node) error) {
	if p.down {
		return
	}
	p.down = true
	if p.node != nil {
		if err := how(p.node); err != nil {
			p.t.Error(err)
		}
	}
	if p.gate != nil {
		_ = p.gate.Close()
	}
	p.serving.Wait()
}

// openPlaces opens members of a group "orders".
func openPlaces(t testing.TB, n int, change ...func(p *place)) []*place {
	t.Helper()
	cluster := fmt.Sprintf("%s-%x", t.Name(), rand.Uint64())
	places := make([]*place, n)
	list, err := freeport.Addresses(n) // they are opened again
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range places {
		places[i] = &place{t: t, cluster: cluster, name: fmt.Sprint("member", i), addr: list[i]}
		for _, f := range change {
			f(places[i])
		}
		wg.Go(func() { places[i].open(n) })
	}
	wg.Wait()
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, p := range places {
			wg.Go(p.close)
		}
		wg.Wait()
	})
	if t.Failed() {
		t.FailNow()
	}
	eventually(t, "all see all in the group", func() bool {
		return !slices.ContainsFunc(places, func(p *place) bool { return p.group.Size() != n })
	})
	return places
}

func addrs(places []*place) (list []string) {
	for _, p := range places {
		list = append(list, p.addr)
	}
	return list
}

// dial returns a client of the group "orders".
func dial(t testing.TB, change func(*Config), members ...string) (*Client, *Group) {
	t.Helper()
	cfg := Config{
		Members: members, Groups: []string{"orders"}, Timeout: 2 * time.Second,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if change != nil {
		change(&cfg)
	}
	c, err := Dial(patient(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // it only ever returns nil
	g, err := c.Group("orders")
	if err != nil {
		t.Fatal(err)
	}
	return c, g
}
