// Command feed is a market-data feed with a hot standby: two publishers, of which the
// older in the group publishes and the other is ready to, and several subscribers.
//
//	go run ./examples/feed                                   # all of it: after a second the primary is killed
//	go run ./examples/feed -role publisher -name publisher-1 # or each in a terminal, until its input ends
//	go run ./examples/feed -role subscriber -name s1
//
// Nothing is stored and nothing is asked for again: the standby sees the view without
// the primary after all ticks of it that anybody goes on with, and so it knows the next.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
)

func main() {
	cfg := engine.Config{Timeout: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	role := flag.String("role", "demo", "demo, publisher or subscriber")
	flag.StringVar(&cfg.Name, "name", "", "name of this member (default: its role)")
	flag.StringVar(&cfg.Cluster, "cluster", fmt.Sprint("feed", os.Getpid()), "name of the ring")
	flag.StringVar(&cfg.Interface, "interface", "lo", "interface to use, by name or address")
	flag.IntVar(&cfg.Expect, "expect", 0, "members to wait for")
	every := flag.Duration("every", time.Millisecond, "time from tick to tick")
	length := flag.Duration("for", time.Second, "demo: time before the primary is killed, and after")
	subscribers := flag.Int("subscribers", 3, "demo: how many")
	flag.Parse()
	if cfg.Name == "" {
		cfg.Name = *role
	}
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("%q: want flags only", flag.Arg(0))
	case *every <= 0 || *length < 0 || *subscribers < 1:
		err = fmt.Errorf("-every %v, -for %v, -subscribers %d: want more than 0, 0 or more, 1 or more", *every, *length, *subscribers)
	case *role == "demo":
		err = demo(os.Stdout, cfg, *every, *length, *subscribers)
	case *role == publisher || *role == subscriber:
		err = member(cfg, *role, *every)
	default:
		err = fmt.Errorf("-role %s: want demo, publisher or subscriber", *role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "feed:", err)
		os.Exit(1)
	}
}

const (
	publisher  = "publisher"
	subscriber = "subscriber"
)

// member takes part until its input ends.
func member(cfg engine.Config, role string, every time.Duration) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	node, err := engine.Open(ctx, cfg)
	if err != nil {
		return err
	}
	m := &feed{name: cfg.Name, publishes: role == publisher, self: func() uint64 { return node.Self().ID }}
	group, err := node.Join(ctx, "feed", m)
	if err != nil {
		_ = node.Close() // the first error is the one that counts
		return err
	}
	if m.publishes {
		publish(ctx, group, m, every)
	}
	<-ctx.Done()
	if err := node.Close(); err != nil {
		return err
	}
	return m.sum()
}

// publish sends a tick at a time, while this member is the primary.
func publish(ctx context.Context, group *engine.Group, m *feed, every time.Duration) {
	clock := time.NewTicker(every)
	defer clock.Stop()
	for ctx.Err() == nil {
		if tick, term := m.next(); tick != nil {
			if err := group.Send(ctx, engine.FIFO, tick); err != nil { // too few are left, or it is expelled: a view says so
				m.takeBack(term)
			}
		}
		select {
		case <-clock.C:
		case <-ctx.Done():
		}
	}
}
