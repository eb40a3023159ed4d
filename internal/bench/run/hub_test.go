package run

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
)

// hub carries messages between members in this process: to all of them, in one
// order, at once. A fault does otherwise to what one member gets.
type hub struct {
	mu    sync.Mutex
	sinks []member.Sink
	fault fault
	level string // that the fault is for
	held  []packet
	count int
}

type packet struct {
	from int
	b    []byte
}

// fault gets each message for the last member, and returns what that one gets in
// its place.
type fault func(h *hub, p packet) []packet

func (h *hub) send(from int, b []byte, level string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	faulty := len(h.sinks) - 1
	for i, sink := range h.sinks {
		if i != faulty || h.fault == nil || level != h.level {
			sink(from, b)
			continue
		}
		h.count++
		for _, p := range h.fault(h, packet{from, append([]byte(nil), b...)}) {
			sink(p.from, p.b)
		}
	}
}

// fake is one member's media on the hub.
type fake struct {
	hub  *hub
	rank int
	row  member.Row
}

func (f *fake) Opened() member.Opened                 { return member.Opened{Rank: f.rank} }
func (f *fake) For(member.Row) (member.Medium, error) { return f, nil }
func (f *fake) Begin(row member.Row) error            { f.row = row; return nil }
func (f *fake) Losses() member.Losses                 { return member.Losses{} }

func (f *fake) Join(context.Context, int, time.Duration) (int, error) { return 1, nil }

// Close waits until nothing is delivered.
func (f *fake) Close() error {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	return nil
}

func (f *fake) Send(ctx context.Context, src *load.Source) error {
	for due := src.Due(); due != clock.Never && ctx.Err() == nil; due = src.Due() {
		if due != 0 {
			clock.SleepUntil(due)
		}
		f.hub.send(f.row.Self, src.Next(), f.row.Level)
	}
	return ctx.Err()
}

// caller asks a member served in this process over pipes.
type caller struct {
	name  string
	in    *io.PipeWriter
	lines *bufio.Scanner
	ended chan error
}

func (c *caller) Name() string { return c.name }

func (c *caller) Ask(ctx context.Context, q member.Request) (r member.Reply, err error) {
	b, err := json.Marshal(q)
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return r, err
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		return r, err
	}
	if !c.lines.Scan() {
		return r, io.ErrUnexpectedEOF
	}
	if err := json.Unmarshal(c.lines.Bytes(), &r); err != nil {
		return r, err
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

func (c *caller) Close() error {
	_ = c.in.Close()
	return <-c.ended
}

// newHub returns a fleet of members on a hub; ranks are the reverse of the order of opening.
func newHub(t *testing.T, members int, level string, f fault) *fleet.Fleet {
	t.Helper()
	h := &hub{fault: f, level: level, sinks: make([]member.Sink, members)}
	var callers []fleet.Caller
	for i := range members {
		in, toIn := io.Pipe()
		out, toOut := io.Pipe()
		c := &caller{name: fmt.Sprintf("process %d", i), in: toIn, lines: bufio.NewScanner(out), ended: make(chan error, 1)}
		c.lines.Buffer(nil, 16<<20)
		open := func(_ context.Context, o member.Open, sink member.Sink) (member.Media, error) {
			rank := o.Members - 1 - o.Index
			h.sinks[rank] = sink
			return &fake{hub: h, rank: rank}, nil
		}
		go func() {
			err := member.Serve(context.Background(), in, toOut, open)
			_ = toOut.Close()
			c.ended <- err
		}()
		callers = append(callers, c)
	}
	fl := fleet.New(callers)
	t.Cleanup(func() {
		if err := fl.Close(); err != nil {
			t.Error(err)
		}
	})
	return fl
}
