package client

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cohort/engine"
)

// BenchmarkSend is messages through a client, acknowledged, beside a member's own, which
// are delivered at that member: three members in this process.
func BenchmarkSend(b *testing.B) {
	for _, l := range []engine.Level{engine.FIFO, engine.Total, engine.Total.Safe()} {
		for _, size := range []int{64, 1024} {
			payload := make([]byte, size)
			b.Run(fmt.Sprintf("client/%v/%d", l, size), func(b *testing.B) {
				places := openPlaces(b, 3, quiet)
				c, g := dial(b, nil, addrs(places)...)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := g.Send(context.Background(), l, payload); err != nil {
						b.Fatal(err)
					}
				}
				if err := c.Sync(context.Background()); err != nil {
					b.Fatal(err)
				}
			})
			b.Run(fmt.Sprintf("member/%v/%d", l, size), func(b *testing.B) {
				places := openPlaces(b, 3, quiet)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				sent := int64(0)
				for b.Loop() {
					if err := places[0].group.Send(context.Background(), l, payload); err != nil {
						b.Fatal(err)
					}
					sent++
				}
				for places[0].replica.count.Load() < sent {
					time.Sleep(50 * time.Microsecond)
				}
			})
		}
	}
}

// BenchmarkAsk is the round trip of one question at a time, of a client and of a member,
// of which one answer is waited for.
func BenchmarkAsk(b *testing.B) {
	places := openPlaces(b, 3)
	_, g := dial(b, nil, addrs(places)...)
	for name, ask := range map[string]func(context.Context, engine.Level, []byte, engine.Replies) ([]engine.Reply, error){
		"client": g.Ask, "member": places[0].group.Ask,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ask(context.Background(), engine.FIFO, []byte("?"), engine.One); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// quiet has the application only count.
func quiet(p *place) { p.counts = true }
