package pubsub

import (
	"fmt"
	"sync"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"

	"go.uber.org/goleak"
)

// TestMain fails the package if a goroutine outlives its node.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func joinAll(t testing.TB, nodes []*engine.Node, c Config) (list []*Broker) {
	t.Helper()
	for _, n := range nodes {
		b, err := Join(testring.Patient(t), n, c)
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
	s, err := b.Subscribe(testring.Patient(t), pattern, o, l.add)
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

func publish(t testing.TB, b *Broker, topic string, l engine.Level, text string) {
	t.Helper()
	if err := b.Publish(testring.Patient(t), topic, l, []byte(text)); err != nil {
		t.Fatal(err)
	}
}
