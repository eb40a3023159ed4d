package rsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/iomulticast"
	"cohort/membership"
)

// open opens a node of a cluster on lo.
func open(t testing.TB, c engine.Config) *engine.Node {
	t.Helper()
	c.Interface, c.Logger = "lo", slog.New(slog.DiscardHandler)
	n, err := engine.Open(testring.Patient(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() }) // closed before, some of them
	return n
}

// openAll opens nodes that form a ring.
func openAll(t testing.TB, count int, c engine.Config) []*engine.Node {
	t.Helper()
	c.Expect = count
	nodes := make([]*engine.Node, count)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { nodes[i] = open(t, c) })
	}
	wg.Wait()
	for _, n := range nodes {
		if err := n.AwaitMembers(testring.Patient(t), count); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// copied is a replica and what it is of.
type copied struct {
	*Replica
	counters counters
}

func joinAll(t testing.TB, nodes []*engine.Node) (list []copied) {
	t.Helper()
	for _, n := range nodes {
		c := counters{}
		r, err := Join(testring.Patient(t), n, "counters", c)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, copied{r, c})
	}
	return list
}

// ask has a replica do what a client wants.
func ask(t testing.TB, ctx context.Context, r copied, in input) (n int, err error) {
	if !in.add {
		err = r.Read(ctx, func() { n = r.counters[in.key] })
		return n, err
	}
	result, err := r.Propose(ctx, []byte(in.key))
	if err != nil {
		return 0, err
	}
	return parse(t, result), nil
}

// self is a node's identity, which is another after an expulsion.
func self(n *engine.Node) uint64 { return n.Self().ID }

// crowd is clients of replicas, and what they are told.
type crowd struct {
	t        *testing.T
	start    time.Time
	end      context.Context
	h        history
	work     sync.WaitGroup
	answered atomic.Int64
}

// add has a client work with r until the end, or until its node is closed.
func (c *crowd) add(num int, r copied) {
	c.work.Go(func() {
		for c.end.Err() == nil {
			in := input{fmt.Sprint("k", rand.IntN(4)), rand.IntN(2) == 0}
			done := c.h.begin(num, in, int64(time.Since(c.start)))
			n, err := ask(c.t, testring.Patient(c.t), r, in)
			if errors.Is(err, engine.ErrClosed) {
				return
			}
			if err != nil {
				c.t.Errorf("client %d: %v", num, err)
				return
			}
			done(n, int64(time.Since(c.start)))
			c.answered.Add(1)
			time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
		}
	})
}

// TestLinearizableUnderFaults: real nodes lose packets, stand still until they are
// expelled, crash, and join; clients get the history of one machine.
func TestLinearizableUnderFaults(t *testing.T) {
	const timeout = 250 * time.Millisecond
	cfg := engine.Config{Cluster: testring.Cluster(t), Timeout: timeout, Faults: iomulticast.Faults{Loss: 0.02, Duplicate: 0.01, Seed: 7}}
	nodes := openAll(t, 4, cfg)
	end, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	c := &crowd{t: t, start: time.Now(), end: end}
	for i, r := range joinAll(t, nodes) {
		c.add(i, r)
	}
	expelled := 0
	for _, n := range nodes[1:] { // they stand still, one after the other
		was := self(n)
		resume := testring.Stall(t, n)
		testring.Eventually(t, "it is expelled", func() bool {
			return !slices.ContainsFunc(nodes[0].View().Members, func(m membership.Member) bool { return m.ID == was })
		})
		resume()
		time.Sleep(2 * timeout)
		if self(n) != was {
			expelled++
		}
	}
	if err := nodes[0].Abandon(); err != nil { // it crashes
		t.Error(err)
	}
	c.add(4, joinAll(t, []*engine.Node{open(t, cfg)})[0])
	c.work.Wait()
	t.Logf("%d answers, %d expulsions", c.answered.Load(), expelled)
	if c.answered.Load() < 200 || expelled == 0 {
		t.Errorf("%d answers and %d expulsions test little", c.answered.Load(), expelled)
	}
	if !c.h.linearizable(t) {
		t.Errorf("not linearizable: %v", c.h.ops)
	}
}

// TestReadsShareABarrier: many reads at once cost few messages.
func TestReadsShareABarrier(t *testing.T) {
	r := joinAll(t, openAll(t, 2, engine.Config{Cluster: testring.Cluster(t)}))[0]
	const readers, each = 50, 20
	var work sync.WaitGroup
	for range readers {
		work.Go(func() {
			for range each {
				if _, err := ask(t, testring.Patient(t), r, input{key: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	var barriers uint64
	r.host.Look(func(m *machine) { barriers = m.reads.num })
	if barriers > readers*each/2 {
		t.Errorf("%d barriers for %d reads", barriers, readers*each)
	}
	t.Logf("%d barriers for %d reads", barriers, readers*each)
}

// TestAProposalIsAppliedOnce: proposed again by its ID, by whomever, it has the result
// that it had.
func TestAProposalIsAppliedOnce(t *testing.T) {
	list := joinAll(t, openAll(t, 2, engine.Config{Cluster: testring.Cluster(t)}))
	id := list[0].NewID()
	for i := range 6 {
		result, err := list[i%2].ProposeAs(testring.Patient(t), id, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if n := parse(t, result); n != 1 {
			t.Fatalf("proposed %d times it has been applied %d times", i+1, n)
		}
	}
}

// TestIDOfALostHistory: when all members have failed, and the group has begun anew, an ID
// that was drawn before is refused: nobody knows what has become of its proposal.
func TestIDOfALostHistory(t *testing.T) {
	life := func() (*engine.Node, copied) {
		node := testring.Open(t, 1, testring.Timeout)[0]
		return node, joinAll(t, []*engine.Node{node})[0]
	}
	node, r := life()
	for range 3 {
		if _, err := r.Propose(testring.Patient(t), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	id := r.NewID()
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	_, r = life()
	var unknown *UnknownError
	if _, err := r.ProposeAs(testring.Patient(t), id, []byte("x")); !errors.Is(err, ErrForgotten) || !errors.As(err, &unknown) {
		t.Errorf("%v, want an UnknownError with ErrForgotten", err)
	}
	if _, err := r.ProposeAs(testring.Patient(t), r.NewID(), []byte("x")); err != nil {
		t.Errorf("an ID of this history: %v", err)
	}
}

// TestUnknownOutcome: whose context ends is told that the command may be applied, and
// finds out by its ID.
func TestUnknownOutcome(t *testing.T) {
	nodes := openAll(t, 2, engine.Config{Cluster: testring.Cluster(t)})
	list := joinAll(t, nodes)
	held, release := make(chan struct{}), make(chan struct{})
	g, err := nodes[0].Join(testring.Patient(t), "hold", engine.HandlerFunc(func(*engine.Message) { close(held); <-release }))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Send(testring.Patient(t), engine.FIFO, nil); err != nil {
		t.Fatal(err)
	}
	<-held // and the node delivers nothing
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = list[0].Propose(ctx, []byte("x"))
	close(release)
	var unknown *UnknownError
	if !errors.As(err, &unknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want an UnknownError for the context's sake", err)
	}
	result, err := list[1].ProposeAs(testring.Patient(t), unknown.ID, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if n := parse(t, result); n != 1 {
		t.Errorf("applied %d times", n)
	}
}

func TestErrors(t *testing.T) {
	nodes := openAll(t, 2, engine.Config{Cluster: testring.Cluster(t)})
	list := joinAll(t, nodes)
	if _, err := list[0].Propose(testring.Patient(t), make([]byte, MaxCommand+1)); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	if err := list[0].Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	var unknown *UnknownError
	if _, err := list[0].Propose(testring.Patient(t), []byte("x")); !errors.Is(err, engine.ErrNotMember) || errors.As(err, &unknown) {
		t.Errorf("%v, want ErrNotMember, and to know that it is not applied", err)
	}
	if err := nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := list[1].Read(testring.Patient(t), func() {}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}
