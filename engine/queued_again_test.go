package engine

import "testing"

// TestQueuedAgain: a handler that is Queued by whoever made it, and by whoever joins with it,
// is as stateful as it was.
func TestQueuedAgain(t *testing.T) {
	cluster := clusterOf(t)
	notes := [2]*notebook{{reader: plain}, {reader: plain}}
	for i, name := range []string{"a", "b"} {
		g, err := open(t, cluster, name, nil).Join(patient(t), "g", Queued(Queued(notes[i], 0), 0))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			break
		}
		if err := g.Send(patient(t), FIFO, []byte("early")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is delivered", func() bool { return len(notes[0].list()) == 1 })
	}
	if got := notes[1].list(); len(got) != 1 {
		t.Errorf("who joins has %q, want what the other has", got)
	}
}
