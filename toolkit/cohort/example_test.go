package cohort_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit/cohort"
)

// A service of one member; others would join it in the same way, and share the work.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-cohort", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	shout, err := cohort.Join(ctx, node, "shout", func(_ context.Context, request []byte) ([]byte, error) {
		return bytes.ToUpper(request), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := shout.Call(ctx, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", answer)
	// Output: HELLO
}
