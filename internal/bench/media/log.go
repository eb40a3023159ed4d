package media

import (
	"context"
	"log/slog"
	"os"
)

// warnings logs what a node warns of, but for one thing: that senders are made to wait is what
// flooding is for, and would be the first that a newcomer sees.
type warnings struct{ slog.Handler }

// expected is logged by the engine: see docs/OPERATIONS.md.
const expected = "a slow member makes the senders wait"

func newLogger() *slog.Logger {
	return slog.New(warnings{slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})})
}

func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == expected {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
