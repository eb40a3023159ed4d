package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"cohort/client/session"
	"cohort/internal/frame"
)

// run keeps the client connected to one member or another.
func (c *Client) run() {
	defer close(c.ended)
	next, pause := int(c.id%uint64(len(c.cfg.Members))), firstPause // each begins elsewhere
	for misses := 0; c.ctx.Err() == nil; next++ {
		addr := c.cfg.Members[next%len(c.cfg.Members)]
		began := time.Now()
		in, err := c.link(addr)
		c.mu.Lock()
		c.last = fmt.Errorf("member %s: %w", addr, err)
		done := c.closing && c.window.Empty()
		c.mu.Unlock()
		switch {
		case errors.Is(err, ErrForgotten):
			c.fail(err)
			return
		case done || c.ctx.Err() != nil:
			return
		case in:
			c.cfg.Logger.Warn("client: a member is given up", "member", addr, "error", err)
			if time.Since(began) >= c.cfg.Timeout { // else letting us in was all that it did
				misses, pause = 0, firstPause
				continue
			}
		default:
			c.cfg.Logger.Debug("client: a member does not let us in", "member", addr, "error", err)
		}
		if misses++; misses%len(c.cfg.Members) == 0 {
			c.rest(pause)
			pause = min(2*pause, maxPause)
		}
	}
}

func (c *Client) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.ctx.Done():
	}
}

// link is one connection, from dialling to its end; in: the member has let us in.
func (c *Client) link(addr string) (in bool, err error) {
	nc, err := c.dial(addr)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	var writer sync.WaitGroup
	defer func() {
		cancel()
		_ = nc.Close()
		writer.Wait()
	}()
	c.mu.Lock()
	c.epoch++
	c.window.Moved()
	c.progress()
	h := session.Hello{Client: c.id, Epoch: c.epoch, Known: c.known, Beat: int64(c.beat()), Groups: c.cfg.Groups}
	c.mu.Unlock()
	_ = nc.SetDeadline(time.Now().Add(c.cfg.Timeout)) // closed: the write tells
	if _, err := nc.Write(framed(nil, h.Append)); err != nil {
		return false, err
	}
	_ = nc.SetWriteDeadline(time.Time{})
	err = c.read(nc, func() {
		in = true
		writer.Go(func() {
			defer cancel()
			c.write(ctx, nc)
		})
	})
	return in, err
}

func (c *Client) beat() time.Duration { return c.cfg.Timeout / beatsPerTimeout }

func (c *Client) dial(addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
	defer cancel()
	if c.cfg.TLS != nil {
		return (&tls.Dialer{Config: c.cfg.TLS}).DialContext(ctx, "tcp", addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

// framed appends what body appends, after its length.
func framed(b []byte, body func([]byte) []byte) []byte {
	at := len(b)
	b = body(append(b, 0, 0, 0, 0))
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

var errStalled = errors.New("it is there, but nothing is acknowledged")

// read takes what the member sends, until the connection is of no more use. begin is
// called when the member lets us in.
func (c *Client) read(nc net.Conn, begin func()) error {
	r := bufio.NewReaderSize(&frame.Patient{Conn: nc, Wait: c.cfg.Timeout}, 64<<10)
	in := false
	var b []byte
	for {
		var err error
		if b, err = frame.Read(r, b, session.MaxHead+session.MaxPayload); err != nil {
			return err
		}
		f, err := session.ParseFrame(b)
		if err != nil {
			return err
		}
		switch {
		case f.Kind == session.FrameRefused && f.Code == session.Forgotten:
			return ErrForgotten
		case f.Kind == session.FrameRefused:
			return fmt.Errorf("refused: %v", f.Code)
		case f.Kind == session.FrameWelcome && !in:
			in = true
			begin()
		}
		if err := c.take(&f, in); err != nil {
			return err
		}
	}
}

// take takes one frame.
func (c *Client) take(f *session.Frame, in bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.Kind {
	case session.FrameWelcome:
		c.known = true
		c.moves++
		c.progress()
	case session.FrameAcked:
		c.window.Acked(f.Group, f.Seq, finish)
		c.progress()
	case session.FrameReply:
		c.reply(f)
		return nil
	case session.FrameDone:
		c.answered(f)
	case session.FramePing:
		if (!in || !c.window.Idle()) && time.Since(c.since) > stallFactor*c.cfg.Timeout {
			return errStalled
		}
		return nil
	default:
		return fmt.Errorf("%w frame of kind %d", session.ErrMalformed, f.Kind)
	}
	c.change()
	return nil
}

// progress notes that the member gets on; mu is held.
func (c *Client) progress() { c.since = time.Now() }

// batch is how many bytes are written at once, and at least as much is kept for that.
const batch = 64 << 10

// write sends what there is to the member, until the connection ends.
func (c *Client) write(ctx context.Context, nc net.Conn) {
	life := time.NewTicker(beatsPerOurs * c.beat())
	defer life.Stop()
	var b []byte
	for {
		b = b[:0]
		bye := false
		c.mu.Lock()
		for len(b) < batch {
			m, base := c.window.Next()
			if m == nil {
				bye = c.closing && c.window.Empty()
				break
			}
			b = c.request(b, m, base)
		}
		c.mu.Unlock()
		if bye {
			_, _ = nc.Write(framed(b, session.Frame{Kind: session.FrameBye}.Append)) // lost: we are forgotten in time
			<-ctx.Done()                                                             // the member hangs up: if we did, it might not get that far
			return
		}
		if len(b) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-c.work:
				continue
			case <-life.C:
				b = framed(b, session.Frame{Kind: session.FramePing}.Append)
			}
		}
		if _, err := nc.Write(b); err != nil {
			return
		}
		if cap(b) > 4*batch {
			b = nil
		}
	}
}

// request appends a message as it goes to the member.
func (c *Client) request(b []byte, m *session.Message, base uint64) []byte {
	return framed(b, func(b []byte) []byte {
		b = session.Frame{Kind: session.FrameRequest, Group: m.Group, Level: m.Level, Want: m.Want}.Append(b)
		return session.AppendEnvelope(b, m.Asked, c.id, m.Seq, base, m.Payload)
	})
}
