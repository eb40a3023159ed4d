package pubsub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
)

// TestExpulsion: a node stands still and the ring goes on without it. When it is back its
// subscription gets what it has missed, once, if the history reaches so far; and else what
// there is, and a gap.
func TestExpulsion(t *testing.T) {
	for _, c := range []struct {
		history int
		missed  int // of the 20 messages published meanwhile
		gaps    uint64
	}{{50, 0, 0}, {5, 15, 1}} {
		t.Run(fmt.Sprint("history=", c.history), func(t *testing.T) {
			nodes := testring.Open(t, 3, testring.Timeout)
			b := joinAll(t, nodes, Config{History: c.history, Keep: true, Groups: 1})
			s, l := subscribe(t, b[2], "a", Options{})
			send := func(from, to int) {
				for k := from; k < to; k++ {
					publish(t, b[0], "a", engine.Total, fmt.Sprint(k))
				}
			}
			send(0, 10)
			testring.Eventually(t, "what came before", func() bool { return len(l.now()) == 10 })

			gate := make(chan struct{})
			open := sync.OnceFunc(func() { close(gate) })
			t.Cleanup(open) // a failed test must not hang in Close
			stalled, err := nodes[2].Join(testring.Patient(t), "stall", engine.HandlerFunc(func(*engine.Message) { <-gate }))
			if err != nil {
				t.Fatal(err)
			}
			if err := stalled.Send(testring.Patient(t), engine.FIFO, nil); err != nil {
				t.Fatal(err)
			}
			testring.Eventually(t, "the view without it", func() bool { return len(nodes[0].View().Members) == 2 })
			send(10, 30)
			open()
			testring.Eventually(t, "it is back", func() bool { return b[0].groups[0].g.Size() == 3 })
			send(30, 40)

			var want []string
			for k := range 40 {
				switch {
				case k >= 10 && k < 10+c.missed:
				case k < 10, k >= 30:
					want = append(want, fmt.Sprint("a=", k))
				default:
					want = append(want, fmt.Sprint("a=", k, "!"))
				}
			}
			testring.Eventually(t, "the last", func() bool { return slices.Contains(l.now(), "a=39") })
			if got := l.now(); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, " "), strings.Join(want, " "))
			}
			if got := s.Stats(); got.Gaps != c.gaps {
				t.Errorf("%+v, want %d gaps", got, c.gaps)
			}
		})
	}
}
