package barrier

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

func both(t *testing.T, nodes []*engine.Node) (b []*Barrier) {
	for _, n := range nodes {
		x, err := Join(testring.Patient(t), n, "bar", len(nodes), GoOn)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, x)
	}
	return b
}

// TestWithdrawalIsNotOvertaken by the next arrival, though there was no room for it at first.
func TestWithdrawalIsNotOvertaken(t *testing.T) {
	nodes := testring.Open(t, 2, 8*time.Second)
	bs := both(t, nodes)
	a := bs[0]
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := a.Wait(ctx); first <- err }()
	_ = bs[1].host.Await(testring.Patient(t), func(m *machine) (bool, error) { return len(m.arrived) == 1, nil })
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	in := make(chan struct{})
	once := sync.OnceFunc(func() { close(in) })
	st, err := nodes[0].Join(testring.Patient(t), "stall", engine.HandlerFunc(func(m *engine.Message) {
		if len(m.Payload) == 0 {
			once()
			<-gate
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	_ = st.Send(testring.Patient(t), engine.FIFO, nil)
	<-in
	for _, size := range []int{60000, 1000, 1} {
		for st.TrySend(engine.FIFO, make([]byte, size)) == nil {
		}
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want Canceled", err)
	}
	second := make(chan error, 2)
	long, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	go func() { _, err := a.Wait(long); second <- err }()
	time.Sleep(50 * time.Millisecond)
	open()
	time.Sleep(300 * time.Millisecond) // A has withdrawn and come again
	go func() { _, err := bs[1].Wait(long); second <- err }()
	for range 2 {
		if err := <-second; err != nil {
			t.Error("both wait, and do not meet:", err)
		}
	}
}
