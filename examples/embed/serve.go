package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cohort/engine"
)

// serve takes part until ctx ends, and then leaves in good order: what was sent is
// delivered, and the others are not kept waiting.
func serve(ctx context.Context, cfg engine.Config) (err error) {
	node, err := engine.Open(ctx, cfg)
	if errors.Is(err, context.Canceled) {
		return nil // told to end before there was a ring
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	group, err := node.Join(ctx, "greetings", &printer{members: cfg.Expect, joined: make(chan struct{})})
	if err != nil {
		return unless(ctx, err)
	}
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for k := 1; ; k++ {
		select {
		case <-ctx.Done():
			fmt.Println("leaving")
			return nil
		case <-every.C:
		}
		err := group.Send(ctx, engine.Total.Safe(), fmt.Appendf(nil, "message %d", k))
		if err != nil && !errors.Is(err, engine.ErrNoQuorum) && !errors.Is(err, engine.ErrExpelled) { // these pass
			return unless(ctx, err)
		}
	}
}

// unless returns err, or nothing if ctx has ended: that is why.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
