package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"cohort/client/gateway"
	"cohort/client/session"
	"cohort/engine"
	"cohort/internal/frame"
)

// TestBusyClientIsNotSilent: a client that sends without a pause is not hung up on.
func TestBusyClientIsNotSilent(t *testing.T) {
	places := openPlaces(t, 1)
	nc := raw(t, places[0])
	h := hello(4242)
	h.Beat = int64(25 * time.Millisecond) // given up after 1 s of silence
	if _, err := nc.Write(framed(nil, h.Append)); err != nil {
		t.Fatal(err)
	}
	await(t, nc, session.FrameWelcome)
	go func() { _, _ = io.Copy(io.Discard, nc) }()
	body := make([]byte, 100_003)
	var seq uint64
	var b []byte
	for begin := time.Now(); time.Since(begin) < 3*time.Second; {
		b = b[:0]
		for range 4 {
			seq++
			b = framed(b, func(to []byte) []byte {
				to = session.Frame{Kind: session.FrameRequest, Level: engine.FIFO}.Append(to)
				return session.AppendEnvelope(to, false, 4242, seq, seq, body)
			})
		}
		if _, err := nc.Write(b); err != nil {
			t.Fatalf("after %v and %d messages: %v", time.Since(begin), seq, err)
		}
	}
}

// slowMember listens as a member that lets a client in, and answers its first question
// with so many bytes, of which a piece comes every 20 ms.
func slowMember(t *testing.T, size int) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	out := framed(nil, session.Frame{Kind: session.FrameAcked, Seq: 1}.Append)
	out = framed(out, session.Frame{Kind: session.FrameReply, Seq: 1, Body: make([]byte, size)}.Append)
	out = framed(out, session.Frame{Kind: session.FrameDone, Seq: 1}.Append)
	serve := func(nc net.Conn) {
		defer nc.Close()
		if _, err := frame.Read(nc, nil, 1<<20); err != nil {
			return
		}
		_, _ = nc.Write(framed(nil, session.Frame{Kind: session.FrameWelcome}.Append))
		for {
			b, err := frame.Read(nc, nil, 1<<20)
			if err != nil {
				return
			}
			if f, _ := session.ParseFrame(b); f.Kind != session.FrameRequest {
				continue
			}
			for b := out; len(b) > 0; time.Sleep(20 * time.Millisecond) {
				k := min(len(b), size/50)
				if _, err := nc.Write(b[:k]); err != nil {
					return
				}
				b = b[k:]
			}
		}
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serve(nc)
		}
	}()
	return l.Addr().String()
}

// TestSlowReplyIsNotSilence: an answer may take longer than the timeout, as long as some
// of it comes.
func TestSlowReplyIsNotSilence(t *testing.T) {
	c, g := dial(t, func(cfg *Config) { cfg.Timeout = 300 * time.Millisecond }, slowMember(t, 1<<20))
	if r, err := g.Ask(patient(t), engine.FIFO, []byte("?"), engine.All); err != nil || len(r) != 1 || c.Moves() != 1 {
		t.Errorf("%d replies, %v, %d connections", len(r), err, c.Moves())
	}
}

// TestAskForTooMany is refused, and what comes after it goes its way.
func TestAskForTooMany(t *testing.T) {
	c, g := dial(t, nil, addrs(openPlaces(t, 1))...)
	if _, err := g.Ask(patient(t), engine.FIFO, []byte("?"), math.MaxInt); !errors.Is(err, engine.ErrConfig) {
		t.Errorf("%v, want ErrConfig", err)
	}
	if err := g.Send(patient(t), engine.FIFO, []byte("after")); err != nil {
		t.Fatal(err)
	}
	if err := c.Sync(patient(t)); err != nil {
		t.Error(err)
	}
}

// answerer answers with so many bytes, twice if it is told to.
type answerer struct {
	replica
	size  int
	twice bool
}

func (a *answerer) Deliver(m *engine.Message) {
	if !m.Asked() {
		return
	}
	reply := m.Later()
	b := bytes.Repeat([]byte("x"), a.size)
	_ = reply(b)
	if a.twice {
		_ = reply(b)
	}
}

// rejoin has a place's member join the group anew, with another handler.
func (p *place) rejoin(t *testing.T, h engine.Handler, queued bool) {
	t.Helper()
	if err := p.group.Leave(patient(t)); err != nil {
		t.Fatal(err)
	}
	join := p.gate.Join
	if queued {
		join = func(ctx context.Context, name string, h engine.Handler) (*gateway.Group, error) {
			return p.gate.JoinQueued(ctx, name, h, 0)
		}
	}
	var err error
	if p.group, err = join(patient(t), "orders", h); err != nil {
		t.Fatal(err)
	}
}

// TestAnswersAfterClose: a member whose gateway is closed goes on answering others' clients.
func TestAnswersAfterClose(t *testing.T) {
	places := openPlaces(t, 2)
	for _, p := range places {
		p.rejoin(t, &answerer{size: 1 << 20}, true)
	}
	eventually(t, "both are in", func() bool { return places[0].group.Size() == 2 && places[1].group.Size() == 2 })
	_, g := dial(t, nil, places[1].addr)
	for round := range 4 {
		if r, err := g.Ask(patient(t), engine.Total, []byte("?"), engine.All); len(r) != 2 {
			t.Fatalf("round %d: %d replies, %v", round, len(r), err)
		}
		if round == 0 {
			_ = places[0].gate.Close()
		}
	}
}

// TestTheFirstAnswerCounts: of a member that answers twice, as in engine.Group.Ask.
func TestTheFirstAnswerCounts(t *testing.T) {
	places := openPlaces(t, 2)
	places[0].rejoin(t, &answerer{size: 1, twice: true}, false)
	places[1].rejoin(t, engine.HandlerFunc(func(*engine.Message) {}), false)
	eventually(t, "both are in", func() bool { return places[0].group.Size() == 2 && places[1].group.Size() == 2 })
	_, g := dial(t, nil, places[0].addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r, err := g.Ask(ctx, engine.Total, []byte("?"), 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d replies of one member, %v, want DeadlineExceeded", len(r), err)
	}
}

// TestForgetAfterClose: silent clients are forgotten though the gateway of the group's
// first member, which has them forgotten, is closed.
func TestForgetAfterClose(t *testing.T) {
	places := openPlaces(t, 2, func(p *place) { p.cfg.MaxClients = 1; p.cfg.Forget = time.Second })
	first, other := places[0], places[1]
	other.rejoin(t, other.replica, false) // so that it is not the first
	_ = first.gate.Close()
	nc := raw(t, other)
	if _, err := nc.Write(framed(nil, hello(1).Append)); err != nil {
		t.Fatal(err)
	}
	await(t, nc, session.FrameWelcome)
	_ = nc.Close() // without a goodbye
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := Dial(ctx, Config{Members: []string{other.addr}, Groups: []string{"orders"}})
	if err != nil {
		t.Fatalf("10 s after the only other client fell silent: %v", err)
	}
	_ = c.Close()
}
