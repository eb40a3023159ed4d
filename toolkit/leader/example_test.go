package leader_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit/leader"
)

// Who leads writes to a store that refuses numbers lower than it has seen.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-leader", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	election, err := leader.Join(ctx, node, "writer")
	if err != nil {
		log.Fatal(err)
	}
	store := uint64(0) // the highest number that it has seen
	write := func(number uint64, text string) {
		if number < store {
			fmt.Println("refused:", text)
			return
		}
		store = number
		fmt.Println("written:", text)
	}
	term, err := election.Await(ctx)
	if err != nil {
		log.Fatal(err)
	}
	write(term.Number, "by the leader")
	if err := election.Leave(ctx); err != nil {
		log.Fatal(err)
	}
	<-term.Done()

	if election, err = leader.Join(ctx, node, "writer"); err != nil {
		log.Fatal(err)
	}
	next, err := election.Await(ctx)
	if err != nil {
		log.Fatal(err)
	}
	write(next.Number, "by the next one")
	write(term.Number, "by one who does not know yet")
	if err := node.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// written: by the leader
	// written: by the next one
	// refused: by one who does not know yet
}
