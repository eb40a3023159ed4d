package rsm

import (
	"fmt"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
)

// BenchmarkPropose is commands of 64 B by one of three members in one process, so many
// at a time. ns/op is the time per command: with one at a time its latency.
func BenchmarkPropose(b *testing.B) {
	for _, at := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprint(at), func(b *testing.B) {
			r := joinAll(b, openAll(b, 3, engine.Config{Cluster: testring.Cluster(b)}))[0]
			many(b, at, func() error { _, err := r.Propose(b.Context(), make([]byte, 64)); return err })
		})
	}
}

// BenchmarkRead is linearizable reads there.
func BenchmarkRead(b *testing.B) {
	for _, at := range []int{1, 256} {
		b.Run(fmt.Sprint(at), func(b *testing.B) {
			r := joinAll(b, openAll(b, 3, engine.Config{Cluster: testring.Cluster(b)}))[0]
			many(b, at, func() error { return r.Read(b.Context(), func() {}) })
		})
	}
}

// many has so many goroutines do f, b.N times in all.
func many(b *testing.B, at int, f func() error) {
	turns := make(chan struct{}, at)
	done := make(chan error, at)
	for range at {
		go func() {
			var err error
			for range turns {
				if e := f(); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	for range at {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}
