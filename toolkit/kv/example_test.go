package kv_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit/kv"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-kv", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	prices, err := kv.Join(ctx, node, "prices", kv.Config[string, int]{})
	if err != nil {
		log.Fatal(err)
	}
	changes := prices.Watch()
	defer changes.Close()
	for price := 101; price <= 103; price++ { // the first event is the map as it is
		e, err := changes.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.All, e.Key, e.Value)
		if _, err := prices.Put(ctx, "tea", price); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// map[]  0
	// map[] tea 101
	// map[] tea 102
}
