package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cohort/engine"
	"cohort/internal/bench/clock"
	"cohort/internal/bench/member"
)

// groupName is the one group that all members are in.
const groupName = "failover"

// Times of a member.
const (
	outsideNap = time.Millisecond // between two attempts to send while the ring has gone on without this member
	tokenNap   = int64(20_000)    // ns between two looks for the token
)

// errOrder is answered to a request that comes too early.
var errOrder = errors.New("asked out of order")

// session is a member between requests.
type session struct {
	out    io.Writer
	open   Open
	node   *engine.Node
	group  *engine.Group
	ledger *ledger

	sending sync.WaitGroup
	stop    atomic.Bool
	sent    uint64 // number of the last message accepted; the sender's until it has stopped
	failed  error  // why the sender ended before it was told to
}

// Serve answers requests, a line of JSON each, from in on out until in ends. It
// then leaves the ring.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	s := &session{out: out}
	return member.Converse(ctx, in, out, s.answer, s.close)
}

func (s *session) close() {
	s.stop.Store(true)
	if s.node != nil {
		_ = s.node.Close() // the parent has what it wanted
	}
}

func (s *session) answer(ctx context.Context, q Request) Reply {
	r, err := s.do(ctx, q)
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (s *session) do(ctx context.Context, q Request) (r Reply, err error) {
	switch {
	case q.Op == OpOpen && q.Open != nil:
		r.At = clock.Now()
		return r, s.enter(ctx, *q.Open)
	case s.node == nil:
		return r, fmt.Errorf("%q: %w", q.Op, errOrder)
	case q.Op == OpAwait:
		ctx, cancel := context.WithTimeout(ctx, awaitLimit(s.open.Timeout))
		defer cancel()
		return r, s.ledger.await(ctx, q.Size, q.Since)
	case q.Op == OpStart:
		s.ledger.begin()
		s.stop.Store(false)
		s.sending.Go(func() { s.failed = s.send(ctx) })
		return r, nil
	case q.Op == OpDie:
		return r, s.dieWithToken()
	case q.Op == OpMeasure:
		r.Measured, err = s.ledger.measure(q)
		return r, err
	case q.Op == OpStop:
		s.stop.Store(true)
		s.sending.Wait()
		return r, s.failed
	case q.Op == OpTally:
		r.Tally = &Tally{Rank: s.node.Rank(), Sent: s.sent}
		r.Tally.Chain, err = s.ledger.look()
		return r, err
	}
	return r, fmt.Errorf("%q: no such request", q.Op)
}

func (s *session) enter(ctx context.Context, o Open) (err error) {
	s.open, s.ledger = o, newLedger(o.State)
	s.node, err = engine.Open(ctx, engine.Config{
		Cluster: o.Cluster, Name: o.Name, Interface: o.Interface, Expect: o.Members, Timeout: o.Timeout,
		// What a fault does is what is measured: no warning is needed.
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	s.group, err = s.node.Join(ctx, groupName, s.ledger)
	return err
}

// send sends messages on a fixed schedule until it is told to stop. While the ring
// has gone on without this member there is nobody to send to.
func (s *session) send(ctx context.Context) error {
	runtime.LockOSThread() // to sleep exactly
	defer runtime.UnlockOSThread()
	if err := clock.PrepareThread(); err != nil {
		return err
	}
	message := make([]byte, s.open.Size)
	for due := clock.Now(); !s.stop.Load(); due += int64(s.open.Every) {
		if due > clock.Now() {
			clock.SleepUntil(due)
		}
		le.PutUint64(message, s.sent+1)
		err := s.group.Send(ctx, engine.Total, message)
		switch {
		case err == nil:
			s.sent++
		case errors.Is(err, engine.ErrExpelled) || errors.Is(err, engine.ErrNoQuorum):
			time.Sleep(outsideNap)
			due = clock.Now()
		default:
			return err
		}
	}
	return nil
}

// dieWithToken ends this process as soon as it holds the token. The answer goes
// out before, since there is no after.
func (s *session) dieWithToken() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	for s.node.Stats().TokenHeld == 0 {
		clock.SleepUntil(clock.Now() + tokenNap)
	}
	line, err := json.Marshal(Reply{At: clock.Now()})
	if err != nil {
		return err
	}
	if _, err := s.out.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	select {} // until the signal has come
}
