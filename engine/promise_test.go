package engine

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// notebook is a Stateful handler whose state is the messages that it has got.
type notebook struct {
	mu      sync.Mutex
	log     []string
	reader  func(s string) io.Reader // of a snapshot
	restore func(r io.Reader) error  // before the rest
}

func (h *notebook) Deliver(m *Message) {
	h.mu.Lock()
	h.log = append(h.log, string(m.Payload))
	h.mu.Unlock()
}
func (h *notebook) View(v GroupView) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v.Fresh {
		h.log = nil
	}
}
func (h *notebook) list() []string { h.mu.Lock(); defer h.mu.Unlock(); return slices.Clone(h.log) }
func (h *notebook) Snapshot() (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return io.NopCloser(h.reader(strings.Join(h.log, "\n"))), nil
}
func (h *notebook) Restore(r io.Reader) error {
	if h.restore != nil {
		if err := h.restore(r); err != nil {
			return err
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = strings.Fields(string(b))
	return nil
}

func plain(s string) io.Reader { return strings.NewReader(s) }

// gated is a snapshot that cannot be read, which shows once the gate is open.
type gated struct {
	gate chan struct{}
	err  error
}

func (g gated) Read(p []byte) (int, error) { <-g.gate; return 0, g.err }

// TestTheLastOneBeginsAnew: all who had the state fail, and who should begin anew for the
// others does too.
func TestTheLastOneBeginsAnew(t *testing.T) {
	cluster := clusterOf(t)
	var n []*Node
	for i := range 5 {
		n = append(n, open(t, cluster, fmt.Sprint("node", i), nil))
	}
	for _, x := range n {
		if err := x.AwaitMembers(patient(t), 5); err != nil {
			t.Fatal(err)
		}
	}
	n = byAge(n)
	if _, err := n[0].Join(patient(t), "g", &notebook{reader: plain}); err != nil {
		t.Fatal(err)
	}
	gateB, gateC := newBlocker(t), newBlocker(t)
	errs := make(chan error, 1)
	go func() {
		_, _ = n[1].Join(patient(t), "g", &notebook{reader: plain, restore: func(io.Reader) error { gateB.wait(); return errors.New("x") }})
	}()
	eventually(t, "B restores", func() bool { return gateB.held.Load() == 1 })
	c := &notebook{reader: plain, restore: func(io.Reader) error { gateC.wait(); return nil }}
	go func() {
		_, err := n[2].Join(patient(t), "g", c)
		errs <- err
	}()
	eventually(t, "C restores", func() bool { return gateC.held.Load() == 1 })
	die(n[0])
	eventually(t, "A is gone", func() bool { return len(n[2].View().Members) == 4 })
	go func() { time.Sleep(1500 * time.Millisecond); gateB.resume() }() // lets Abandon end
	die(n[1])
	eventually(t, "B is gone", func() bool { return len(n[2].View().Members) == 3 })
	gateC.resume()
	if err := <-errs; err != nil {
		t.Fatalf("C is the only one left, and its Join: %v", err)
	}
}

// TestPromiseOfAStateGivenUp: who is to give a state that it is getting itself, and then
// gets a later one, does not give that in its place: its label would be wrong.
func TestPromiseOfAStateGivenUp(t *testing.T) {
	nodes := byAge(openRing(t, 4, nil))
	A, B, D, C := nodes[0], nodes[1], nodes[2], nodes[3]
	fail := make(chan struct{})
	first := true
	ha := &notebook{}
	ha.reader = func(s string) io.Reader {
		if first {
			first = false
			return gated{fail, errors.New("disk")}
		}
		return plain(s)
	}
	ga, err := A.Join(patient(t), "g", ha)
	if err != nil {
		t.Fatal(err)
	}
	if err := ga.Send(patient(t), Total, []byte("m0")); err != nil {
		t.Fatal(err)
	}
	hb, hd, hc := &notebook{reader: plain}, &notebook{reader: plain}, &notebook{reader: plain}
	began := newBlocker(t)
	began.resume()
	hb.restore = func(io.Reader) error { began.wait(); return nil }
	joined := make(chan error, 2)
	go func() { _, err := B.Join(patient(t), "g", hb); joined <- err }()
	eventually(t, "B restores", func() bool { return began.held.Load() == 1 })
	dgate := newBlocker(t)
	hd.restore = func(io.Reader) error { dgate.wait(); return nil }
	dj := make(chan *Group, 1)
	go func() {
		g, err := D.Join(patient(t), "g", hd)
		if err != nil {
			t.Error(err)
		}
		dj <- g
	}()
	eventually(t, "D restores", func() bool { return dgate.held.Load() == 1 })
	if err := ga.Leave(patient(t)); err != nil { // B is Ready in its place
		t.Fatal(err)
	}
	go func() { _, err := C.Join(patient(t), "g", hc); joined <- err }()
	eventually(t, "C has joined the table", func() bool {
		B.mu.Lock()
		defer B.mu.Unlock()
		g := B.groups.local("g")
		return g.restore != nil && len(g.restore.offers) == 1
	})
	dgate.resume()
	gd := <-dj
	time.Sleep(200 * time.Millisecond) // its Ready
	for i := 1; i <= 3; i++ {
		if err := gd.Send(patient(t), Total, fmt.Append(nil, "m", i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "D has all", func() bool { return len(hd.list()) == 4 })
	time.Sleep(200 * time.Millisecond)
	close(fail) // B asks for another donor: D
	for range 2 {
		if err := <-joined; err != nil {
			t.Error(err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	if !slices.Equal(hc.list(), hd.list()) {
		t.Fatalf("C has %v, D has %v", hc.list(), hd.list())
	}
}

// TestBrokenStateIsNotGiven: who could not restore the state gives it to nobody.
func TestBrokenStateIsNotGiven(t *testing.T) {
	nodes := byAge(openRing(t, 3, nil))
	C, A, B := nodes[0], nodes[1], nodes[2]
	ha := &notebook{reader: plain}
	ga, err := A.Join(patient(t), "g", ha)
	if err != nil {
		t.Fatal(err)
	}
	if err := ga.Send(patient(t), Total, []byte("m0")); err != nil {
		t.Fatal(err)
	}
	gate := newBlocker(t)
	hb := &notebook{reader: plain}
	hb.restore = func(io.Reader) error {
		hb.mu.Lock()
		hb.log = []string{"half"}
		hb.mu.Unlock()
		gate.wait()
		return errors.New("own")
	}
	bj := make(chan error, 1)
	go func() { _, err := B.Join(patient(t), "g", hb); bj <- err }()
	eventually(t, "B restores", func() bool { return gate.held.Load() == 1 })
	if err := ga.Leave(patient(t)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	hc := &notebook{reader: plain}
	cj := make(chan error, 1)
	B.mu.Lock() // the loop of B is slow between a turn and the next
	gate.resume()
	for !B.results.any.Load() {
		time.Sleep(time.Millisecond)
	}
	for _, k := range B.results.take() {
		B.restored(k.group, k.restore, k.fetched)
	}
	go func() { _, err := C.Join(patient(t), "g", hc); cj <- err }()
	time.Sleep(100 * time.Millisecond)
	B.mu.Unlock()
	if err := <-bj; err == nil {
		t.Error("B has joined")
	}
	err = <-cj
	hc.mu.Lock()
	defer hc.mu.Unlock()
	if err == nil && len(hc.log) == 1 && hc.log[0] == "half" {
		t.Errorf("C has joined with the state that B could not restore: %v", hc.log)
	}
}

// TestLastViewOfAFullQueue: a handler whose queue is full sees the view of its leaving.
func TestLastViewOfAFullQueue(t *testing.T) {
	nodes := byAge(openRing(t, 2, nil))
	gate := newBlocker(t)
	var mu sync.Mutex
	var views []string
	h := &twoFuncs{func(*Message) { gate.wait() }, func(v GroupView) { mu.Lock(); views = append(views, describe(v)); mu.Unlock() }}
	g, err := nodes[0].Join(patient(t), "q", Queued(h, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Send(patient(t), Total, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "held", func() bool { return gate.held.Load() == 1 })
	n := nodes[0]
	n.mu.Lock()
	for g.queue.ring.TryPush(pack(0, Total, 0), nil) {
	}
	n.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- g.Leave(patient(t)) }()
	<-g.Gone()
	gate.resume()
	if err := <-done; err != nil {
		t.Error(err)
	}
	mu.Lock()
	if len(views) != 2 {
		t.Errorf("views %v, want that of leaving too", views)
	}
	mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	n.mu.Lock()
	if len(n.groups.late) != 0 {
		t.Errorf("%d queues wait for room for ever", len(n.groups.late))
	}
	n.mu.Unlock()
}

type twoFuncs struct {
	d func(*Message)
	v func(GroupView)
}

func (h *twoFuncs) Deliver(m *Message) { h.d(m) }
func (h *twoFuncs) View(v GroupView)   { h.v(v) }
