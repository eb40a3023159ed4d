//go:build unix

package barrier

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/testring"
)

// BenchmarkWait is one generation of three members that come at about the same time. The
// barrier uses abcast; the safe rows are what it would cost if a failing member could not
// be the only one to have passed.
func BenchmarkWait(b *testing.B) {
	for _, l := range []engine.Level{engine.Total, engine.Total.Safe(), engine.Total.SafeAll()} {
		b.Run(fmt.Sprint(l), func(b *testing.B) {
			list := join(b, testring.Open(b, 3, time.Minute), 3, GoOn)
			for _, k := range list {
				k.host.Look(func(m *machine) { m.level = l })
			}
			cost := testring.Measure(b)
			var wg sync.WaitGroup
			for _, k := range list {
				wg.Go(func() {
					for range b.N {
						start := time.Now()
						if _, err := k.Wait(context.Background()); err != nil {
							b.Error(err)
							return
						}
						cost.Since(start)
					}
				})
			}
			wg.Wait()
			cost.Report(b.N)
		})
	}
}
