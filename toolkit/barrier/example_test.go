package barrier_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit/barrier"
)

// A computation in steps: no member begins a step before all have ended the last. Here
// there is one member; with parties 3 the first step would wait for two more.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-barrier", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	steps, err := barrier.Join(ctx, node, "steps", 1, barrier.Break)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		step, err := steps.Wait(ctx) // barrier.ErrBroken: a member failed, do the step again
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("all have come to step", step)
	}
	if err := node.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// all have come to step 1
	// all have come to step 2
}
