package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCloseDrains: what was sent before Close, the others deliver.
func TestCloseDrains(t *testing.T) {
	for _, l := range []Level{FIFO, Causal, Total, Total.Safe(), Total.SafeAll()} {
		t.Run(l.String(), func(t *testing.T) {
			nodes := openRing(t, 3, nil)
			var seqs [3]sequence
			groups := joinAll(t, nodes, "drain", func(i int) Handler { seqs[i].t = t; return &seqs[i] })
			const many = 3000
			for k := range many {
				if err := groups[1].Send(patient(t), l, numbered(k, 500)); err != nil {
					t.Fatal(err)
				}
			}
			if err := nodes[1].Close(); err != nil {
				t.Fatal(err)
			}
			if n := seqs[1].next.Load(); n != many {
				t.Errorf("the member that closed delivered %d itself, want %d", n, many)
			}
			for i := range seqs {
				eventually(t, fmt.Sprint("all delivered at ", i), func() bool { return seqs[i].next.Load() == many })
			}
		})
	}
}

// TestCloseDeliversWhatWasTaken: a message whose Send succeeds is delivered, also if the
// node is closed while it is being copied into the ring.
func TestCloseDeliversWhatWasTaken(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(32)) // so that threads stand still in the middle of a copy
	for range 20 {
		n := openRing(t, 1, nil)[0]
		var got, sent atomic.Int64
		g := joinAll(t, []*Node{n}, "taken", func(int) Handler { return HandlerFunc(func(*Message) { got.Add(1) }) })[0]
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for payload := make([]byte, 100_000); ; sent.Add(1) {
					if err := g.Send(context.Background(), FIFO, payload); err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		eventually(t, "messages are sent", func() bool { return sent.Load() > 500 })
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if got.Load() != sent.Load() {
			t.Fatalf("%d messages were sent, and %d delivered", sent.Load(), got.Load())
		}
	}
}

// TestCloseWhileSendersWait: they get ErrClosed, whatever they wait for.
func TestCloseWhileSendersWait(t *testing.T) {
	nodes := byAge(openRing(t, 2, func(_ int, c *Config) { c.SubmitRing = 1 << 16 }))
	b := newBlocker(t)
	groups := joinAll(t, nodes, "waiting", func(i int) Handler {
		return HandlerFunc(func(*Message) {
			if i == 1 {
				b.wait()
			}
		})
	})
	g, ctx := groups[0], patient(t)
	standStill(t, g, b)
	var sent atomic.Int64
	errs := make(chan error, 7)
	for i := range 4 {
		go func() {
			for {
				if err := g.Send(ctx, FIFO, make([]byte, 100+i*9000)); err != nil { // the last ones do not fit the ring
					errs <- err
					return
				}
				sent.Add(1)
			}
		}()
	}
	go func() { _, err := g.Ask(ctx, FIFO, nil, All); errs <- err }()
	go func() {
		_, err := nodes[0].Join(ctx, "other", HandlerFunc(func(*Message) {}))
		errs <- err
	}()
	steadily(t, "senders", sent.Load)
	go func() { errs <- g.Leave(ctx) }() // earlier it would find room, and the others be told of it
	start := time.Now()
	if err := nodes[0].Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > closeDrain+2*time.Second {
		t.Errorf("Close took %v", took)
	}
	for range cap(errs) {
		select {
		case err := <-errs:
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%v, want ErrClosed", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("somebody still waits for a node that is closed")
		}
	}
}

func TestCloseAgain(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := n.Join(context.Background(), "late", HandlerFunc(func(*Message) {})); !errors.Is(err, ErrClosed) {
		t.Errorf("Join after Close: %v, want ErrClosed", err)
	}
}

// TestNoHandlerAfterClose: also one that is queued has ended when Close returns.
func TestNoHandlerAfterClose(t *testing.T) {
	n := openRing(t, 1, nil)[0]
	var closed atomic.Bool
	var late, count atomic.Int64
	g := joinAll(t, []*Node{n}, "queued", func(int) Handler {
		return Queued(HandlerFunc(func(*Message) {
			time.Sleep(5 * time.Millisecond)
			if closed.Load() {
				late.Add(1)
			}
			count.Add(1)
		}), 0)
	})[0]
	for range 20 {
		if err := g.Send(patient(t), FIFO, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	closed.Store(true)
	time.Sleep(50 * time.Millisecond)
	if late.Load() > 0 || count.Load() != 20 {
		t.Errorf("%d messages handled, want 20; %d of them after Close", count.Load(), late.Load())
	}
}

// TestNothingLeft opens and closes rings and counts goroutines and descriptors.
func TestNothingLeft(t *testing.T) {
	round := func() {
		nodes := openRing(t, 2, nil)
		groups := joinAll(t, nodes, "left", func(int) Handler { return Queued(HandlerFunc(func(*Message) {}), 0) })
		for range 100 {
			if err := groups[0].Send(patient(t), Total, nil); err != nil {
				t.Fatal(err)
			}
		}
		closeAll(t, nodes)
	}
	round() // what the runtime opens for itself, it keeps
	files, goroutines := openFiles(), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	if n := openFiles(); n != files {
		t.Errorf("%d descriptors before, %d after", files, n)
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// TestCloseUnderLoad closes a ring in which everybody sends.
func TestCloseUnderLoad(t *testing.T) {
	for range 3 {
		nodes := openRing(t, 3, nil)
		groups := joinAll(t, nodes, "load", func(int) Handler { return HandlerFunc(func(*Message) {}) })
		var wg sync.WaitGroup
		for i, g := range groups {
			for k := range 2 {
				wg.Go(func() {
					for {
						err := g.Send(context.Background(), allLevels[i*2+k], make([]byte, 64+k*200_000))
						if errors.Is(err, ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
		}
		time.Sleep(20 * time.Millisecond)
		closeAll(t, nodes)
		wg.Wait()
	}
}

// TestEndInsideHandler: the node ends once the handler has returned.
func TestEndInsideHandler(t *testing.T) {
	for name, end := range map[string]func(*Node) error{"Close": (*Node).Close, "Abandon": (*Node).Abandon} {
		c := Config{Cluster: clusterOf(t), Interface: "lo", Logger: slog.New(slog.DiscardHandler)}
		n, err := Open(patient(t), c) // nobody else closes it: a test that fails would hang
		if err != nil {
			t.Fatal(err)
		}
		g, err := n.Join(patient(t), "g", HandlerFunc(func(*Message) {
			if err := end(n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Send(patient(t), FIFO, nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-n.Done():
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the node does not end", name)
		}
	}
}

// TestCloseInsideRestore: the node ends once Restore has returned.
func TestCloseInsideRestore(t *testing.T) {
	cluster := clusterOf(t)
	if _, err := open(t, cluster, "a", nil).Join(patient(t), "g", &notebook{reader: plain}); err != nil {
		t.Fatal(err)
	}
	c := Config{Cluster: cluster, Name: "b", Interface: "lo", Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)}
	b, err := Open(patient(t), c) // nobody else closes it: a test that fails would hang
	if err != nil {
		t.Fatal(err)
	}
	h := &notebook{reader: plain, restore: func(io.Reader) error { return b.Close() }}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := b.Join(ctx, "g", h); err != nil && !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	select {
	case <-b.Done():
	case <-ctx.Done():
		t.Error("the node does not end")
	}
}

// TestAbandonInsideSnapshot while the node is being closed already, by a loop that waits for the
// snapshot.
func TestAbandonInsideSnapshot(t *testing.T) {
	cluster := clusterOf(t)
	a := unkept(t, cluster)
	reading, gate := make(chan struct{}), make(chan struct{})
	read := func([]byte) (int, error) {
		close(reading)
		<-gate
		return 0, errors.Join(io.EOF, a.Abandon())
	}
	if _, err := a.Join(patient(t), "g", &notebook{reader: func(string) io.Reader { return readFunc(read) }}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b := open(t, cluster, "b", nil)
	go b.Join(ctx, "g", &notebook{reader: plain}) // whether it can be had is of no account
	<-reading
	go a.Close()
	eventually(t, "the others go on without it", func() bool { return len(b.View().Members) == 1 })
	time.Sleep(100 * time.Millisecond) // until its loop waits
	close(gate)
	select {
	case <-a.Done():
	case <-ctx.Done():
		t.Error("the node does not end")
	}
}

// TestCloseEndsWaitsInsideTransfers: what a Restore, or a snapshot that is read, waits for of the
// node does not come any more, and the node waits for them.
func TestCloseEndsWaitsInsideTransfers(t *testing.T) {
	for _, where := range []string{"Restore", "Read"} {
		t.Run(where, func(t *testing.T) {
			cluster := clusterOf(t)
			c := Config{Cluster: cluster, Interface: "lo", Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)}
			var nodes [2]*Node
			for i := range nodes { // nobody else closes them: a test that fails would hang
				n, err := Open(patient(t), c)
				if err != nil {
					t.Fatal(err)
				}
				nodes[i] = n
			}
			which := map[string]int{"Read": 0, "Restore": 1}[where]
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			waiting := make(chan struct{})
			wait := func() error {
				close(waiting)
				return nodes[which].AwaitMembers(ctx, 9)
			}
			giver, taker := &notebook{reader: plain}, &notebook{reader: plain}
			if where == "Read" {
				giver.reader = func(string) io.Reader { return readFunc(func([]byte) (int, error) { return 0, wait() }) }
			} else {
				taker.restore = func(io.Reader) error { return wait() }
			}
			if _, err := nodes[0].Join(patient(t), "g", giver); err != nil {
				t.Fatal(err)
			}
			go nodes[1].Join(patient(t), "g", taker) // it fails
			<-waiting
			closed := make(chan struct{})
			go func() { _ = nodes[which].Close(); close(closed) }()
			select {
			case <-closed:
			case <-time.After(5 * time.Second):
				t.Error("Close waits for what waits for the node")
			}
			cancel()
			for _, n := range nodes {
				_ = n.Close()
			}
		})
	}
}

// closing is a notebook whose snapshots, once they have been read, call close.
type closing struct {
	notebook
	close func() error
}

func (h *closing) Snapshot() (io.ReadCloser, error) {
	r, err := h.notebook.Snapshot()
	return struct {
		io.Reader
		io.Closer
	}{r, closeFunc(h.close)}, err
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

// unkept opens a node that nobody else closes: a test that fails would hang.
func unkept(t *testing.T, cluster string) *Node {
	t.Helper()
	n, err := Open(patient(t), Config{Cluster: cluster, Name: "a", Interface: "lo", Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// endsGiving waits until the node has ended, of whose group g another wants the state.
func endsGiving(t *testing.T, n *Node, cluster string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = open(t, cluster, "b", nil).Join(ctx, "g", &notebook{reader: plain}) // whether it can be had is of no account
	select {
	case <-n.Done():
	case <-ctx.Done():
		t.Error("the node does not end")
	}
}

// TestCloseInsideSnapshotsClose: the node ends once the snapshot's Close has returned.
func TestCloseInsideSnapshotsClose(t *testing.T) {
	cluster := clusterOf(t)
	a := unkept(t, cluster)
	h := &closing{notebook{reader: plain}, func() error { return a.Close() }}
	if _, err := a.Join(patient(t), "g", h); err != nil {
		t.Fatal(err)
	}
	endsGiving(t, a, cluster)
}

// readFunc is a snapshot that is read by a function.
type readFunc func(b []byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// TestCloseInsideSnapshot: a program may close the node where its state cannot be read. The
// node ends once Read has returned.
func TestCloseInsideSnapshot(t *testing.T) {
	cluster := clusterOf(t)
	a := unkept(t, cluster)
	broken := errors.New("the disk is broken")
	read := func([]byte) (int, error) { return 0, errors.Join(broken, a.Close()) }
	if _, err := a.Join(patient(t), "g", &notebook{reader: func(string) io.Reader { return readFunc(read) }}); err != nil {
		t.Fatal(err)
	}
	endsGiving(t, a, cluster)
}

// TestMembersOfAnEndedNode: a node that has ended is in no view, also where none came without it.
func TestMembersOfAnEndedNode(t *testing.T) {
	for name, end := range map[string]func(*Node) error{"Close": (*Node).Close, "Abandon": (*Node).Abandon} {
		n := openRing(t, 1, nil)[0]
		if err := end(n); err != nil {
			t.Fatal(err)
		}
		if err := n.AwaitMembers(patient(t), 1); !errors.Is(err, ErrClosed) {
			t.Errorf("AwaitMembers after %s: %v, want %v", name, err, ErrClosed)
		}
		if v := n.View(); len(v.Members) != 1 {
			t.Errorf("View after %s: %v, want the last one", name, v)
		}
	}
}
