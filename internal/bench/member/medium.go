package member

import (
	"context"
	"time"

	"cohort/internal/bench/load"
)

// Sink takes a message that a medium delivered, borrowed until it returns. from
// is whom the medium names as its sender. It is called by one goroutine at a time.
type Sink func(from int, message []byte)

// Losses counts since the medium was opened.
type Losses struct {
	Dropped       uint64 // packets that found a receive buffer full
	Retransmitted uint64 // packets sent again
}

// Medium carries messages from each member to all, itself included.
type Medium interface {
	// Begin prepares for a row. Nothing is in flight.
	Begin(Row) error
	// Send sends what src makes, when it is due, and returns when the last
	// message has been handed over.
	Send(ctx context.Context, src *load.Source) error
	// Losses may be called after Close. It sees all deliveries made before.
	Losses() Losses
}

// Flow is how a medium's token and window are.
type Flow struct {
	TokenPasses uint64 `json:"token_passes"` // that this member has learnt of
	WindowBytes uint64 `json:"window_bytes"` // kernel memory, at a receiver, of its packets in flight
	WindowLimit uint64 `json:"window_limit"` // how much that may be
}

// Regulated is a Medium that has a token and a window.
type Regulated interface {
	// Flow returns the passes since the medium was opened, and the window as it is now.
	Flow() Flow
}

// Media is what a member opened.
type Media interface {
	Opened() Opened
	// For returns the medium of a row. The error names a level that was not opened.
	For(Row) (Medium, error)
	// Join joins groups, in the same order at every member, until the member is in
	// so many or the limit has passed. It returns in how many it is.
	Join(ctx context.Context, groups int, limit time.Duration) (int, error)
	// Close ends all deliveries before it returns. It may be called again.
	Close() error
}

// Opener opens media that deliver to sink.
type Opener func(ctx context.Context, o Open, sink Sink) (Media, error)
