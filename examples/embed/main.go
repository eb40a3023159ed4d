// Command embed is a small program in a module of its own that embeds the engine:
// it opens a node, joins a group, sends, prints what is delivered, and ends.
//
//	go run .                                  # alone
//	go run . -expect 3 -name anna             # in three terminals
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"cohort/engine"
)

func main() {
	cfg := engine.Config{Cluster: "embed"}
	flag.StringVar(&cfg.Interface, "interface", "lo", "interface to use, by name or address")
	flag.IntVar(&cfg.Expect, "expect", 1, "members to wait for")
	flag.StringVar(&cfg.Name, "name", "", "name of this member (default host:pid)")
	messages := flag.Int("messages", 3, "messages to send")
	wait := flag.Duration("wait", 30*time.Second, "how long to wait for the others")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *wait)
	defer cancel()
	if err := run(ctx, cfg, *messages); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg engine.Config, messages int) (err error) {
	node, err := engine.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if err := node.AwaitMembers(ctx, cfg.Expect); err != nil {
		return err
	}
	all := make(chan struct{})
	h := &printer{members: cfg.Expect, want: messages * cfg.Expect, all: all, joined: make(chan struct{})}
	group, err := node.Join(ctx, "greetings", h)
	if err != nil {
		return err
	}
	select { // a message reaches those that are in the group by then
	case <-h.joined:
	case <-ctx.Done():
		return fmt.Errorf("waiting for all to join: %w", ctx.Err())
	}
	levels := []engine.Level{engine.FIFO, engine.Causal, engine.Total, engine.Total.Safe()}
	for i := range messages {
		text := fmt.Sprintf("message %d", i+1)
		if err := group.Send(ctx, levels[i%len(levels)], []byte(text)); err != nil {
			return err
		}
	}
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for all messages: %w", ctx.Err())
	}
}
