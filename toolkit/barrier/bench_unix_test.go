//go:build unix

package barrier

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/toolkit/internal/ringtest"
)

// BenchmarkWait is one generation of three members that come at about the same time. The
// rows below abcast are not right, and show what the order costs.
func BenchmarkWait(b *testing.B) {
	for _, l := range []engine.Level{engine.FIFO, engine.Total, engine.Total.Safe()} {
		b.Run(fmt.Sprint(l), func(b *testing.B) {
			list := join(b, ringtest.Open(b, 3, time.Minute), 3, GoOn)
			for _, k := range list {
				k.host.Look(func(m *machine) { m.level = l })
			}
			cost := ringtest.Measure(b)
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
