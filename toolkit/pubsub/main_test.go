package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"cohort/engine"

	"go.uber.org/goleak"
)

// TestMain fails the package if a goroutine outlives its node.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

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

// open opens n nodes on lo that form a ring of their own.
func open(t testing.TB, n int) []*engine.Node {
	t.Helper()
	nodes := make([]*engine.Node, n)
	errs := make([]error, n)
	cluster := fmt.Sprintf("%s-%x", t.Name(), rand.Uint64())
	ctx := patient(t)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			nodes[i], errs[i] = engine.Open(ctx, engine.Config{
				Cluster: cluster, Name: fmt.Sprint("node", i), Interface: "lo", Expect: n, Timeout: time.Minute,
				Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
			})
			if errs[i] == nil {
				errs[i] = nodes[i].AwaitMembers(ctx, n)
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, n := range nodes {
			if n != nil {
				wg.Go(func() { _ = n.Close() }) // a test that cares closes it itself
			}
		}
		wg.Wait()
	})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

func joinAll(t testing.TB, nodes []*engine.Node, c Config) (list []*Broker) {
	t.Helper()
	for _, n := range nodes {
		b, err := Join(patient(t), n, c)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// list is what a subscription has got.
type list struct {
	mu   sync.Mutex
	got  []string
	gate chan struct{} // if it is there, the function waits for it
}

func (l *list) add(m *Message) {
	if l.gate != nil {
		<-l.gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := fmt.Sprintf("%s=%s", m.Topic, m.Payload)
	if m.Retained {
		s += "!"
	}
	l.got = append(l.got, s)
}

func (l *list) now() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.got...)
}

func subscribe(t testing.TB, b *Broker, pattern string, o Options) (*Sub, *list) {
	t.Helper()
	l := &list{}
	s, err := b.Subscribe(patient(t), pattern, o, l.add)
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

func publish(t testing.TB, b *Broker, topic string, l engine.Level, text string) {
	t.Helper()
	if err := b.Publish(patient(t), topic, l, []byte(text)); err != nil {
		t.Fatal(err)
	}
}
