package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cohort/internal/bench/check"
	"cohort/internal/bench/clock"
	"cohort/internal/bench/kernel"
	"cohort/internal/bench/load"
)

// Waiting for deliveries ends when nothing came for so long. Levels repair
// their losses, raw does not.
const (
	silence    = 5 * time.Second
	rawSilence = 300 * time.Millisecond
)

// errOrder is answered to a request that comes too early.
var errOrder = errors.New("asked out of order")

// session is a member between requests.
type session struct {
	open  Opener
	media Media
	meter meter

	row    Row
	medium Medium
	log    *check.Log
	past   *load.Past
	sent   uint64 // own messages of the row

	kind  Phase
	phase *phase

	// At the start of the phase.
	used   kernel.Usage
	drops  *kernel.Drops
	losses Losses
	before *Flow

	window *Flow // when the last message had been handed over; before, if it sends none
}

// answer does what a request says.
func (s *session) answer(ctx context.Context, q Request) Reply {
	r, err := s.do(ctx, q)
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (s *session) do(ctx context.Context, q Request) (Reply, error) {
	switch {
	case q.Op == OpOpen && q.Open != nil:
		return s.doOpen(ctx, *q.Open)
	case q.Op == OpJoin && q.Join != nil && s.media != nil:
		return s.join(ctx, *q.Join)
	case q.Op == OpHealth:
		h := health()
		return Reply{Health: &h}, nil
	case q.Op == OpRow && q.Row != nil && s.media != nil:
		err := s.begin(*q.Row)
		return Reply{Used: used()}, err
	case q.Op == OpPhase && q.Phase != nil && s.medium != nil:
		return Reply{}, s.prepare(*q.Phase)
	case q.Op == OpSend && s.phase != nil:
		return s.send(ctx)
	case q.Op == OpWait && s.phase != nil:
		return s.wait(ctx, q.Expect)
	case q.Op == OpDigests && s.phase != nil:
		return s.digests(), nil
	case q.Op == OpHistory && s.phase != nil:
		h := s.history(q)
		return Reply{History: &h}, nil
	}
	return Reply{}, fmt.Errorf("%q: %w", q.Op, errOrder)
}

func (s *session) doOpen(ctx context.Context, o Open) (Reply, error) {
	m, err := s.open(ctx, o, s.meter.deliver)
	if err != nil {
		return Reply{}, err
	}
	s.media = m
	opened := m.Opened()
	return Reply{Opened: &opened}, nil
}

func (s *session) join(ctx context.Context, j Join) (Reply, error) {
	began := time.Now()
	n, err := s.media.Join(ctx, j.Groups, j.Limit)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Joined: &Joined{Groups: n, Took: time.Since(began)}}, nil
}

func (s *session) begin(row Row) error {
	m, err := s.media.For(row)
	if err != nil {
		return err
	}
	if err := m.Begin(row); err != nil {
		return err
	}
	cfg := check.Config{Members: row.Members}
	if row.Level != Raw {
		if cfg.Level, err = row.Promised(); err != nil {
			return err
		}
	}
	if s.log == nil {
		s.log = check.NewLog(cfg)
	} else {
		s.log.Reset(cfg)
	}
	s.row, s.medium, s.past, s.sent = row, m, load.NewPast(row.Members), 0
	return nil
}

func (s *session) prepare(p Phase) error {
	s.kind = p
	s.phase = newPhase(s.row, p, s.log, s.past)
	if s.row.Timing == RoundTrip && p.Kind != Flood {
		a, ok := s.medium.(Answerer)
		if !ok {
			return fmt.Errorf("%s: its medium cannot answer: no round trips", s.row.Level)
		}
		s.phase.answers(a, p.Count)
	}
	s.losses, s.drops, s.used = s.medium.Losses(), drops(), kernel.Self()
	s.before = flowOf(s.medium)
	s.window = s.before
	s.meter.now.Store(s.phase)
	return nil
}

func (s *session) send(ctx context.Context) (Reply, error) {
	src := s.source()
	if s.kind.Kind == Flood {
		defer time.AfterFunc(s.kind.Duration, src.Stop).Stop()
	}
	if err := s.medium.Send(ctx, src); err != nil {
		return Reply{}, fmt.Errorf("send %s: %w", s.row.Level, err)
	}
	s.window = flowOf(s.medium)
	s.sent += src.Sent()
	return Reply{Sent: s.sent}, nil
}

// source makes the messages of the phase. Senders that pace themselves take turns.
func (s *session) source() *load.Source {
	who := load.Sender{Rank: s.row.Self, Row: s.row.Number, Size: s.row.Size, After: s.sent, Senders: s.row.Senders, Past: s.past}
	p := s.kind
	start := clock.Now() + int64(p.Every)*int64(1+s.row.Self)/int64(s.row.Senders)
	switch p.Kind {
	case Paced:
		return load.NewPaced(who, start, p.Every, p.Count)
	case Lone:
		return load.NewLone(who, start, p.Every, p.Count)
	}
	return load.NewFlood(who)
}

// wait returns what was measured once each sender's messages have all come, or
// nothing has come for too long. Only in the second case can there be a breach in the
// answer, and the media are closed.
func (s *session) wait(ctx context.Context, expect []uint64) (Reply, error) {
	if len(expect) != s.row.Members {
		return Reply{}, fmt.Errorf("wait: %d counts for %d members", len(expect), s.row.Members)
	}
	if err := s.complete(ctx); err != nil {
		return Reply{}, err
	}
	p, now := s.phase, s.medium.Losses()
	if p.warming > 0 {
		s.used = p.warmed
	}
	took := kernel.Self().Since(s.used)
	m := &Measured{Delivered: p.count, Warm: p.warming, First: p.first, Last: p.until(), Used: took, KernelDrops: dropsSince(s.drops),
		Dropped: now.Dropped - s.losses.Dropped, Retransmitted: now.Retransmitted - s.losses.Retransmitted, Flow: s.flow()}
	if s.row.Level != Raw {
		m.Breach = s.undelivered(expect)
		if err := p.unanswered(); err != nil && m.Breach == nil {
			return Reply{}, err
		}
	}
	if p.hist != nil {
		b, err := p.hist.Encode(histogramFormat)
		if err != nil {
			return Reply{}, err
		}
		m.Histogram = string(b)
	}
	return Reply{Measured: m}, nil
}

// complete waits for the end of the phase's deliveries.
func (s *session) complete(ctx context.Context) error {
	limit := silence
	if s.row.Level == Raw {
		limit = rawSilence
	}
	tick := time.NewTicker(limit / 10)
	defer tick.Stop()
	seen, since := uint64(0), time.Now()
	for {
		select {
		case <-s.phase.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if n := s.phase.progress.Load(); n != seen {
			seen, since = n, time.Now()
		}
		if time.Since(since) < limit {
			continue
		}
		if s.row.Level == Raw {
			return nil
		}
		return s.media.Close()
	}
}

// undelivered returns the breach if messages of a sender never came.
func (s *session) undelivered(expect []uint64) *check.Breach {
	for sender, want := range expect {
		if got := s.log.Count(sender); got != want {
			return &check.Breach{Kind: check.Undelivered, Member: s.row.Self, At: s.log.Total(),
				Sender: sender, Seq: got + 1, Want: want, Got: got}
		}
	}
	return nil
}

func (s *session) digests() Reply {
	r := Reply{Digests: s.log.Digests(), Breach: s.log.Breach(), Used: used()}
	if r.Breach != nil {
		r.Breach.Member = s.row.Self
	}
	return r
}

// history returns the deliveries around a message or, if it is not there, around
// a place.
func (s *session) history(q Request) check.History {
	from := q.From
	if q.Around != nil {
		if at, ok := s.log.Find(q.Around.Sender, q.Around.Seq); ok {
			from = max(at, uint64(q.Count/2)) - uint64(q.Count/2)
		}
	}
	return s.log.Range(from, from+uint64(q.Count))
}
