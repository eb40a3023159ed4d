package pool_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strconv"
	"time"

	"cohort/engine"
	"cohort/toolkit/pool"
)

// Messages are parsed concurrently, and take effect in delivery order.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-pool", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	balance := 0
	p, err := pool.New(pool.Config{Workers: 4}, pool.HandlerFunc(func(t *pool.Turn) {
		amount, err := strconv.Atoi(string(t.Payload))
		if err != nil {
			return // the others do not wait for it
		}
		t.Enter(func() {
			balance += amount
			fmt.Printf("%d: %+d makes %d\n", t.Num, amount, balance)
		})
	}))
	if err != nil {
		log.Fatal(err)
	}
	group, err := node.Join(ctx, "account", p.Handler())
	if err != nil {
		log.Fatal(err)
	}
	for _, amount := range []string{"100", "-30", "what?", "7"} {
		if err := group.Send(ctx, engine.Total, []byte(amount)); err != nil {
			log.Fatal(err)
		}
	}
	if err := node.Close(); err != nil {
		log.Fatal(err)
	}
	p.Wait()
	// Output:
	// 1: +100 makes 100
	// 2: -30 makes 70
	// 4: +7 makes 77
}
