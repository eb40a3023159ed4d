package toolkit

import (
	"context"
	"errors"

	"cohort/engine"
)

// Work does, on goroutines of their own, what the host's machine finds to be done: the
// program's functions, which may be slow. At most limit run at a time. due is asked
// under the conditions of Await: it returns what is to be done next, if there is any, and
// keeps stop, which ends the context that do gets. All these contexts end when the group
// is left, the node is closed, or ctx ends. Work returns then, and does not wait for do.
func Work[M Machine, T any](ctx context.Context, h *Host[M], limit int, due func(m M, stop context.CancelFunc) (T, bool), do func(ctx context.Context, t T)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free := make(chan struct{}, limit)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		case <-h.group.Gone():
			return
		case <-h.node.Done():
			return
		}
		one, stop := context.WithCancel(ctx)
		t, err := next(ctx, h, func(m M) (T, bool) { return due(m, stop) })
		if err != nil {
			stop()
			return
		}
		go func() {
			defer func() { <-free }()
			defer stop()
			do(one, t)
		}()
	}
}

// next waits for something to do.
func next[M Machine, T any](ctx context.Context, h *Host[M], due func(m M) (T, bool)) (t T, err error) {
	for {
		err = h.Await(ctx, func(m M) (ok bool, _ error) {
			t, ok = due(m)
			return ok, nil
		})
		if !errors.Is(err, engine.ErrExpelled) { // the member will be another, and goes on
			return t, err
		}
	}
}
