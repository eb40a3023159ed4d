package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit/lock"
)

// A balance is replicated, and updated by causal messages under a lock.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-lock", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	locks, err := lock.Join(ctx, node, "locks")
	if err != nil {
		log.Fatal(err)
	}
	accounts, err := node.Join(ctx, "accounts", engine.HandlerFunc(func(m *engine.Message) {
		fmt.Printf("%v: %s\n", m.Level, m.Payload)
	}))
	if err != nil {
		log.Fatal(err)
	}
	mine, yours := locks.Mutex("account 7", engine.Total), locks.Mutex("account 7", engine.Total)
	if _, err := mine.Lock(ctx); err != nil {
		log.Fatal(err)
	}
	if _, err := yours.TryLock(ctx); errors.Is(err, lock.ErrTaken) {
		fmt.Println("taken")
	}
	for _, change := range []string{"+100", "-30"} {
		if err := accounts.Send(ctx, engine.Causal, []byte(change)); err != nil {
			log.Fatal(err)
		}
	}
	if err := mine.Unlock(); err != nil { // whoever has it next sees both changes
		log.Fatal(err)
	}
	if _, err := yours.Lock(ctx); err != nil {
		log.Fatal(err)
	}
	if err := node.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// taken
	// cbcast: +100
	// cbcast: -30
}
