package pubsub_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit/pubsub"
)

// The last price of each share comes first, and then what follows.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-pubsub", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	b, err := pubsub.Join(ctx, node, pubsub.Config{History: 1, Keep: true})
	if err != nil {
		log.Fatal(err)
	}
	publish := func(topic, price string) {
		if err := b.Publish(ctx, topic, engine.FIFO, []byte(price)); err != nil {
			log.Fatal(err)
		}
	}
	publish("md.eu.sap", "101.5")
	publish("md.us.ibm", "88.0")
	publish("md.eu.sap", "101.6")
	publish("md.eu.bmw", "70.1")
	closing := make(chan struct{}, 1)
	if _, err = b.Subscribe(ctx, "md.eu.close", pubsub.Options{}, func(*pubsub.Message) { closing <- struct{}{} }); err != nil {
		log.Fatal(err)
	}
	publish("md.eu.close", "closed")
	<-closing // all before has been delivered

	done := make(chan struct{})
	_, err = b.Subscribe(ctx, "md.eu.*", pubsub.Options{Last: 1}, func(m *pubsub.Message) {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
		if m.Topic == "md.eu.vow" {
			close(done)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	publish("md.eu.vow", "99.9")
	<-done
	if err := node.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// md.eu.sap: 101.6
	// md.eu.bmw: 70.1
	// md.eu.close: closed
	// md.eu.vow: 99.9
}
