// Package pubsub is publish and subscribe over process groups: topics by the tens of
// thousands, mapped onto a few groups, with wildcards, an ordering level per topic, and
// the last messages of a topic for who subscribes late.
//
// A topic is levels with dots between, "md.eu.sap", of at most MaxTopic bytes; in a
// pattern, * stands for one level and > at the end for one or more, as in NATS. The first
// levels of a topic say which group it is in: a process joins only the groups that its
// subscriptions need. One that publishes and does not subscribe there joins with a handler
// that drops all it is handed.
//
//	b, err := pubsub.Join(ctx, node, pubsub.Config{History: 1})
//	sub, err := b.Subscribe(ctx, "md.eu.*", pubsub.Options{Last: 1}, func(m *pubsub.Message) {
//		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
//	})
//	err = b.Publish(ctx, "md.eu.sap", engine.FIFO, []byte("101.5"))
//
// What is retained and what is live fit together without gap or duplicate: the history is
// the state of a group, and a joiner gets it as of its first view.
package pubsub
