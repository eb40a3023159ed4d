package engine

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
)

// announcer is a handler that sends in the first view of each of its memberships.
type announcer struct {
	mu    sync.Mutex
	group *Group
	out   bool    // expelled, and not back yet
	sent  []error // of each return
}

func (h *announcer) Deliver(*Message) {}

func (h *announcer) View(v GroupView) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.out && !v.Expelled && !v.Blocked {
		h.sent = append(h.sent, h.group.TrySend(Total, []byte("back")))
	}
	h.out = v.Expelled
}

func (h *announcer) returns() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sent)
}

// stateful is an announcer with a state.
type stateful struct{ announcer }

func (h *stateful) Snapshot() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }

func (h *stateful) Restore(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// TestSendInTheViewThatIsBack: the view that tells a handler that it is back in its group is one
// in which it may send.
func TestSendInTheViewThatIsBack(t *testing.T) {
	plain, full := &announcer{}, &stateful{}
	for name, c := range map[string]struct {
		h Handler
		a *announcer
	}{
		"plain": {plain, plain}, "stateful": {full, &full.announcer},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := clusterOf(t)
			var nodes []*Node
			for i := range 3 {
				nodes = append(nodes, open(t, cluster, fmt.Sprint("node", i), soon))
			}
			joinAll(t, nodes[:2], "g", func(int) Handler { return &stateful{} })
			g, err := nodes[2].Join(patient(t), "g", c.h)
			if err != nil {
				t.Fatal(err)
			}
			c.a.mu.Lock()
			c.a.group = g
			c.a.mu.Unlock()
			stall(t, nodes[2], nodes[0])
			eventually(t, "it is back", func() bool { return c.a.returns() > 0 })
			c.a.mu.Lock()
			defer c.a.mu.Unlock()
			if err := c.a.sent[0]; err != nil {
				t.Errorf("sending in the view that tells it is back: %v", err)
			}
		})
	}
}
