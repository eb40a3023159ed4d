//go:build unix

package leader

import (
	"testing"
	"time"

	"cohort/internal/testring"
)

// BenchmarkHandover is the time from a leader's Leave to the next one's term, of two
// members in a ring of three nodes, who take turns.
func BenchmarkHandover(b *testing.B) {
	nodes := testring.Open(b, 3, time.Minute)[:2]
	list := make([]*Election, len(nodes))
	join := func(i int) {
		e, err := Join(testring.Patient(b), nodes[i], "chief")
		if err != nil {
			b.Fatal(err)
		}
		list[i] = e
	}
	join(0)
	cost := testring.Measure(b)
	for k := range b.N {
		if _, err := list[k%2].Await(b.Context()); err != nil {
			b.Fatal(err)
		}
		join(1 - k%2)
		start := time.Now()
		if err := list[k%2].Leave(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := list[1-k%2].Await(b.Context()); err != nil {
			b.Fatal(err)
		}
		cost.Since(start)
	}
	cost.Report(b.N)
}
