// Command embed is a small program in a module of its own that embeds the engine:
// it opens a node, joins a group, sends, prints what is delivered, and ends.
//
//	go run .                                  # alone
//	go run . -expect 3 -name anna             # in three terminals
//	go run . -serve                           # goes on, until it is told to end
//
// With -serve it is a service, as the files in deploy/ run it: it sends a message a
// second, and leaves in good order on SIGTERM or SIGINT.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"cohort/engine"
)

func main() {
	cfg := engine.Config{Cluster: "embed"}
	flag.StringVar(&cfg.Interface, "interface", "lo", "interface to use, by name or address")
	flag.StringVar(&cfg.Cluster, "cluster", cfg.Cluster, "name of the ring: nodes of others are not heard")
	flag.IntVar(&cfg.Expect, "expect", 1, "members to wait for")
	flag.StringVar(&cfg.Name, "name", "", "name of this member (default host:pid)")
	flag.IntVar(&cfg.Port, "port", 0, "port of this member, UDP and TCP, which seeds name (default any)")
	seeds := flag.String("seeds", "", "where to look for others beside multicast: host:port, with commas between; a name may stand for many addresses")
	flag.Func("transport", "auto, multicast, or fanout for networks without multicast (default auto)", func(s string) (err error) {
		cfg.Transport, err = transport(s)
		return err
	})
	messages := flag.Int("messages", 3, "messages to send")
	wait := flag.Duration("wait", 30*time.Second, "how long to wait for the others")
	serving := flag.Bool("serve", false, "go on until SIGTERM, and wait for others for ever")
	flag.Parse()
	if *seeds != "" {
		cfg.Seeds = strings.Split(*seeds, ",")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	var err error
	switch {
	case flag.NArg() > 0: // what follows a word is not looked at: a port, say
		err = fmt.Errorf("%q: want flags only", flag.Arg(0))
	case *serving:
		err = serve(ctx, cfg)
	case cfg.Expect < 1 || *messages < 1:
		err = fmt.Errorf("-expect %d, -messages %d: want 1 or more", cfg.Expect, *messages)
	default:
		ctx, cancel := context.WithTimeout(ctx, *wait)
		defer cancel()
		err = run(ctx, cfg, *messages)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func transport(s string) (engine.Transport, error) {
	for _, t := range []engine.Transport{engine.Auto, engine.Multicast, engine.Fanout} {
		if t.String() == s {
			return t, nil
		}
	}
	return 0, errors.New("want auto, multicast or fanout")
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
