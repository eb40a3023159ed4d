package pubsub

import (
	"fmt"
	"sync/atomic"
	"testing"

	"cohort/engine"
	"cohort/internal/testring"
)

// BenchmarkMatch is what a message costs a subscriber in its group before it is in a
// queue: counted, its topic found, kept if there is a history. hit: one subscription
// wants it; miss: none does.
func BenchmarkMatch(b *testing.B) {
	for _, topics := range []int{1, 1000, 50_000} {
		for _, history := range []int{0, 1} {
			for _, pattern := range []string{"md.eu.>", "md.us.>"} {
				name := map[string]string{"md.eu.>": "hit", "md.us.>": "miss"}[pattern]
				b.Run(fmt.Sprintf("topics=%d/history=%d/%s", topics, history, name), func(b *testing.B) {
					t := newTable(limits{history, 1 << 30})
					t.subscribe(&Sub{queue: newQueue(Block, 1)}, pattern, 0)
					var list [][]byte
					for k := range topics {
						list = append(list, appendMessage(nil, fmt.Sprint("md.eu.", k), make([]byte, 64)))
						t.deliver(1, engine.FIFO, list[k])
					}
					b.ReportAllocs()
					b.ResetTimer()
					for k := range b.N {
						t.deliver(1, engine.FIFO, list[k%topics])
					}
				})
			}
		}
	}
}

// BenchmarkFirst is the first message of a topic after the subscriptions have changed.
func BenchmarkFirst(b *testing.B) {
	t := newTable(limits{})
	for k := range 10_000 {
		t.subscribe(&Sub{queue: newQueue(Block, 1)}, fmt.Sprintf("md.*.%d", k), 0)
	}
	m := appendMessage(nil, "md.eu.77", nil)
	b.ReportAllocs()
	for b.Loop() {
		t.gen++
		t.deliver(1, engine.FIFO, m)
	}
}

// BenchmarkQueue is putting a message of 64 bytes into a subscription's queue and taking it out.
func BenchmarkQueue(b *testing.B) {
	for _, p := range []Policy{Block, Conflate} {
		b.Run(map[Policy]string{Block: "block", Conflate: "conflate"}[p], func(b *testing.B) {
			q, in, out := newQueue(p, 16), Message{Topic: "md.eu.sap", Payload: make([]byte, 64)}, Message{}
			b.ReportAllocs()
			for b.Loop() {
				q.put(in)
				q.take(&out)
			}
		})
	}
}

// BenchmarkPublish has one node of two publish 64 bytes to 1000 topics; the other takes all
// of it, a tenth, or only publishes in that group.
func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct{ name, pattern string }{{"all", "md.>"}, {"tenth", "md.3.*"}, {"publisher", ""}} {
		b.Run(c.name, func(b *testing.B) {
			brokers := joinAll(b, testring.Open(b, 2, testring.Timeout), Config{})
			var got atomic.Int64
			count := func(*Message) { got.Add(1) }
			if c.pattern == "" {
				publish(b, brokers[1], "md.0.0", engine.FIFO, "")
			} else if _, err := brokers[1].Subscribe(testring.Patient(b), c.pattern, Options{}, count); err != nil {
				b.Fatal(err)
			}
			var topics []string
			for k := range 1000 {
				topics = append(topics, fmt.Sprintf("md.%d.%d", k%10, k))
			}
			ctx, payload := b.Context(), make([]byte, 64)
			b.ReportAllocs()
			b.ResetTimer()
			want := int64(0)
			for k := range b.N {
				if c.name == "all" || c.name == "tenth" && k%10 == 3 {
					want++
				}
				if err := brokers[0].Publish(ctx, topics[k%1000], engine.FIFO, payload); err != nil {
					b.Fatal(err)
				}
			}
			testring.Eventually(b, "delivery", func() bool { return got.Load() == want })
		})
	}
}
