package lock

import (
	"runtime"
	"testing"

	"cohort/internal/testring"
)

// TestLeaveLeavesNothing: who joins and leaves all day long does not grow.
func TestLeaveLeavesNothing(t *testing.T) {
	n := testring.Add(t, testring.Cluster(t), "alone")
	before := runtime.NumGoroutine()
	for range 50 {
		l, err := Join(testring.Patient(t), n, "l")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Leave(testring.Patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	testring.Eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+10 })
}
