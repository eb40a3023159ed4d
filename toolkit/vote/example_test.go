package vote_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit/vote"
)

// A group of one votes; others would join it in the same way.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-vote", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	box, err := vote.Join(ctx, node, "upgrades", vote.Majority, func(_ context.Context, _ string, proposal []byte) bool {
		return string(proposal) != "on a Friday"
	})
	if err != nil {
		log.Fatal(err)
	}
	for key, when := range []string{"on a Friday", "on a Monday"} {
		o, err := box.Propose(ctx, fmt.Sprint("upgrade ", key), []byte(when))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %v, %d of %d\n", o.Proposal, o.Accepted, o.Yes, o.Members)
	}
	// Output:
	// on a Friday: false, 0 of 1
	// on a Monday: true, 1 of 1
}
