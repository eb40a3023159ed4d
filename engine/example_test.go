package engine_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cohort/engine"
)

// openTwo opens two nodes of one cluster in this process, and keeps clear of other
// processes that do the same. Programs open one each, of a cluster that they share.
func openTwo(ctx context.Context, cluster string) (nodes [2]*engine.Node) {
	cluster = fmt.Sprint(cluster, os.Getpid())
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			var err error
			nodes[i], err = engine.Open(ctx, engine.Config{
				Cluster: cluster, Interface: "lo", Expect: 2, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				log.Fatal(err)
			}
		})
	}
	wg.Wait()
	return nodes
}

func closeBoth(nodes [2]*engine.Node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			if err := n.Close(); err != nil {
				log.Print(err)
			}
		})
	}
	wg.Wait()
}

// A node alone: its group's messages come back to itself.
func ExampleOpen() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: "example-open", Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	group, err := node.Join(ctx, "greetings", engine.HandlerFunc(func(m *engine.Message) {
		fmt.Printf("%v from %d: %s\n", m.Level, m.Sender, m.Payload)
	}))
	if err != nil {
		log.Fatal(err)
	}
	if err := group.Send(ctx, engine.Total, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	if err := node.Close(); err != nil { // waits for what was sent
		log.Fatal(err)
	}
	// Output: abcast from 0: hello
}

// One goroutine sends at each level; the other member gets the messages in the
// order sent.
func ExampleGroup_Send() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nodes := openTwo(ctx, "example-send")
	defer closeBoth(nodes)

	levels := []engine.Level{
		engine.FIFO, engine.Causal, engine.Total,
		engine.FIFO.Safe(), engine.Causal.Safe(), engine.Total.Safe(), engine.Total.SafeAll(),
	}
	arrived := make(chan struct{})
	print := engine.HandlerFunc(func(m *engine.Message) {
		fmt.Printf("%s\n", m.Payload)
		if m.Level == engine.Total.SafeAll() {
			close(arrived)
		}
	})
	silent := engine.HandlerFunc(func(*engine.Message) {})

	if _, err := nodes[1].Join(ctx, "levels", print); err != nil {
		log.Fatal(err)
	}
	group, err := nodes[0].Join(ctx, "levels", silent)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range levels {
		if err := group.Send(ctx, l, []byte(l.String())); err != nil {
			log.Fatal(err)
		}
	}
	<-arrived
	// Output:
	// fbcast
	// cbcast
	// abcast
	// safe-fbcast
	// safe-cbcast
	// safe-abcast
	// safe-all-abcast
}

// Every member answers; the asker is a member too.
func ExampleGroup_Ask() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nodes := openTwo(ctx, "example-ask")
	defer closeBoth(nodes)

	group := joinBoth(ctx, nodes, "sums", -1)
	replies, err := group.Ask(ctx, engine.Causal, []byte("how much?"), engine.All)
	if err != nil {
		log.Fatal(err)
	}
	slices.SortFunc(replies, func(a, b engine.Reply) int { return a.Sender - b.Sender })
	for _, r := range replies {
		fmt.Printf("%d: %s\n", r.Sender, r.Payload)
	}
	// Output:
	// 0: 100
	// 1: 101
}

// Replies come one by one. The member that is on standby declines, so that the loop
// need not wait for it.
func ExampleGroup_Question() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nodes := openTwo(ctx, "example-question")
	defer closeBoth(nodes)

	group := joinBoth(ctx, nodes, "standby", 1)
	for r, err := range group.Question(ctx, engine.Causal, []byte("how much?"), engine.All) {
		switch {
		case err != nil:
			log.Fatal(err)
		case r.Null && r.Reason == 0:
			fmt.Printf("%d declines\n", r.Sender)
		case r.Null:
			fmt.Printf("%d is gone: %v\n", r.Sender, r.Reason)
		default:
			fmt.Printf("%d: %s\n", r.Sender, r.Payload)
		}
	}
	// Unordered output:
	// 0: 100
	// 1 declines
}

// joinBoth makes both nodes answerers of a group, and returns the first one's as soon as
// that knows of both. The one with the rank standby does not answer.
func joinBoth(ctx context.Context, nodes [2]*engine.Node, name string, standby int) (group *engine.Group) {
	both := make(chan struct{})
	for rank, n := range nodes { // who joins first has rank 0
		g, err := n.Join(ctx, name, answerer{rank: rank, both: both, asks: rank == 0, standby: rank == standby})
		if err != nil {
			log.Fatal(err)
		}
		if rank == 0 {
			group = g
		}
	}
	<-both
	return group
}

// answerer is a Handler that replies with a number.
type answerer struct {
	rank    int
	both    chan struct{} // closed when the asker's view of the group has both
	asks    bool
	standby bool
}

func (a answerer) Deliver(m *engine.Message) {
	if !m.Asked() {
		return
	}
	err := error(nil)
	if a.standby {
		err = m.Decline()
	} else {
		err = m.Reply(fmt.Appendf(nil, "%d", 100+a.rank))
	}
	if err != nil {
		log.Print(err)
	}
}

func (a answerer) View(v engine.GroupView) {
	if a.asks && len(v.Members) == 2 {
		close(a.both)
	}
}

// counter is a Stateful handler: its state is a number.
type counter struct {
	n    uint64
	full chan struct{} // closed at 42
}

func (c *counter) Deliver(m *engine.Message) {
	if c.n++; c.n == 42 {
		close(c.full)
	}
}

func (c *counter) View(v engine.GroupView) {}

// Snapshot returns a copy, which does not change while it is read. A large state would
// be one that is never changed in place.
func (c *counter) Snapshot() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(strconv.FormatUint(c.n, 10))), nil
}

func (c *counter) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.n, err = strconv.ParseUint(string(b), 10, 64)
	return err
}

// A member that comes later begins with the state of those who are there.
func ExampleStateful() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nodes := openTwo(ctx, "example-state")
	defer closeBoth(nodes)

	first, err := nodes[0].Join(ctx, "count", &counter{full: make(chan struct{})})
	if err != nil {
		log.Fatal(err)
	}
	for range 41 {
		if err := first.Send(ctx, engine.Total, nil); err != nil {
			log.Fatal(err)
		}
	}
	late := &counter{full: make(chan struct{})}
	second, err := nodes[1].Join(ctx, "count", late)
	if err != nil {
		log.Fatal(err)
	}
	if err := second.Send(ctx, engine.Total, nil); err != nil {
		log.Fatal(err)
	}
	<-late.full
	fmt.Println(late.n)
	// Output: 42
}

// A handler that takes its time, on a goroutine of its own. It keeps a payload
// beyond the call.
func ExampleQueued() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: "example-queued", Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	var kept [][]byte
	slow := engine.HandlerFunc(func(m *engine.Message) {
		time.Sleep(time.Millisecond)
		kept = append(kept, m.Retain())
	})
	group, err := node.Join(ctx, "work", engine.Queued(slow, 1<<20))
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		if err := group.Send(ctx, engine.FIFO, fmt.Appendf(nil, "job %d", i)); err != nil {
			log.Fatal(err)
		}
	}
	if err := node.Close(); err != nil { // the queue is worked off first
		log.Fatal(err)
	}
	fmt.Printf("%s\n", kept)
	// Output: [job 0 job 1 job 2]
}
