package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"cohort/client/session"
	"cohort/internal/frame"
)

// conn is a client's connection.
type conn struct {
	server *Server
	nc     net.Conn
	ctx    context.Context // ends when the connection does
	cancel context.CancelFunc
	beat   time.Duration
	seats  []*seat
	wake   chan struct{} // there is something in out

	mu      sync.Mutex
	out     []byte // frames that wait to be written
	waiting int    // groups that have yet to welcome the client
	ending  bool   // nothing follows what is in out
}

// seat is a client's place in one group.
type seat struct {
	conn    *conn
	index   int // the client's number of the group
	group   *Group
	session *session.Session // the reader's
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc, wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// run serves the client until the connection ends.
func (c *conn) run() {
	defer func() {
		c.cancel()
		_ = c.nc.Close()
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
	}()
	defer context.AfterFunc(c.ctx, func() { _ = c.nc.Close() })()
	in := &frame.Patient{Conn: c.nc}
	r := bufio.NewReaderSize(in, 64<<10)
	_ = c.nc.SetDeadline(time.Now().Add(helloTimeout)) // closed: the next read tells
	b, err := frame.Read(r, nil, session.MaxHello)
	if err != nil {
		return
	}
	h, err := session.ParseHello(b)
	if err != nil {
		c.server.cfg.Logger.Debug("gateway: no client", "from", c.nc.RemoteAddr(), "error", err)
		return
	}
	_ = c.nc.SetDeadline(time.Time{})
	c.beat = time.Duration(h.Beat)
	in.Wait = lostAfter * c.beat
	var writer sync.WaitGroup
	writer.Go(c.write)
	defer writer.Wait()
	c.enter(h)
	bye := c.read(r, b)
	for _, s := range c.seats {
		s.group.do(func(m *session.Member) { m.Lost(s.session, bye) })
	}
	c.finish()
}

// enter begins the client's sessions in its groups.
func (c *conn) enter(h session.Hello) {
	groups := c.server.find(h.Groups)
	if groups == nil {
		c.refuse(session.NoGroup)
		return
	}
	c.waiting = len(groups)
	for i, g := range groups {
		s := &seat{conn: c, index: i, group: g}
		c.seats = append(c.seats, s)
		g.do(func(m *session.Member) { s.session = m.Hello(h.Client, h.Epoch, h.Known, s) })
	}
}

// read takes what the client sends until it goes; bye tells whether it is done for good.
func (c *conn) read(r *bufio.Reader, b []byte) (bye bool) {
	const limit = session.MaxHead + session.MaxEnvelope + session.MaxPayload
	for {
		var err error
		if b, err = frame.Read(r, b, limit); err != nil {
			return false
		}
		f, err := session.ParseFrame(b)
		switch {
		case err == nil && f.Kind == session.FramePing:
		case err == nil && f.Kind == session.FrameBye:
			return true
		case err == nil && f.Kind == session.FrameRequest && f.Group < len(c.seats) && len(f.Body) <= session.MaxPayload+session.MaxEnvelope:
			if !c.forward(c.seats[f.Group], &f) {
				c.refuse(session.Broken)
			}
		default:
			c.refuse(session.Broken)
		}
		if c.ctx.Err() != nil {
			return false
		}
		if cap(b) > maxBuffer {
			b = nil // a large message is no reason to keep as much for every client
		}
	}
}

// forward sends a client's message to the group; false if it may not.
func (c *conn) forward(s *seat, f *session.Frame) bool {
	g := s.group
	g.mu.Lock()
	err := g.member.Begin(s.session, f.Body, f.Want)
	group := g.group
	g.mu.Unlock()
	if err != nil {
		return s.session.Ended() // else it is the client's fault
	}
	err = group.Send(c.ctx, f.Level, f.Body)
	g.do(func(m *session.Member) { m.End(s.session, err == nil) })
	return true
}

// take puts what the protocol has for the client into out.
func (c *conn) take(s *seat, o *session.Output) {
	switch o.Do {
	case session.Welcome:
		c.mu.Lock()
		c.waiting--
		all := c.waiting == 0
		c.mu.Unlock()
		if all {
			c.put(session.Frame{Kind: session.FrameWelcome})
		}
	case session.Refuse:
		c.refuse(o.Code)
	case session.Acked:
		c.put(session.Frame{Kind: session.FrameAcked, Group: s.index, Seq: o.Seq})
	case session.Reply:
		from := s.group.names[o.From] // the group's mu is held
		c.put(session.Frame{
			Kind: session.FrameReply, Group: s.index, Seq: o.Seq, From: o.From, Rank: from.rank, Name: from.name, Body: o.Payload,
		})
	case session.Done:
		c.put(session.Frame{Kind: session.FrameDone, Group: s.index, Seq: o.Seq, Code: o.Code})
	}
}

// refuse ends the connection once the client has been told why.
func (c *conn) refuse(why session.Code) {
	c.put(session.Frame{Kind: session.FrameRefused, Code: why, Body: []byte(why.String())})
	c.finish()
}

// finish ends the connection once all is written.
func (c *conn) finish() {
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	c.ring()
}

// put adds a frame to what is to be written.
func (c *conn) put(f session.Frame) {
	c.mu.Lock()
	full := len(c.out)+len(f.Body) > maxWaiting
	if !full && !c.ending {
		at := len(c.out)
		c.out = f.Append(append(c.out, 0, 0, 0, 0))
		binary.LittleEndian.PutUint32(c.out[at:], uint32(len(c.out)-at-4))
	}
	c.mu.Unlock()
	if full {
		c.server.cfg.Logger.Warn("gateway: a client takes nothing", "client", c.nc.RemoteAddr(), "waiting", maxWaiting)
		c.cancel()
	}
	c.ring()
}

func (c *conn) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what there is, and signs of life.
func (c *conn) write() {
	defer c.cancel()
	ping := append(binary.LittleEndian.AppendUint32(nil, 1), byte(session.FramePing))
	life := time.NewTicker(c.beat)
	defer life.Stop()
	var b []byte
	for quiet := true; ; {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
			c.mu.Lock()
			b, c.out = c.out, b[:0]
			ending := c.ending
			c.mu.Unlock()
			if !c.flush(b) || ending {
				return
			}
			if quiet = false; cap(b) > maxBuffer {
				b = nil
			}
		case <-life.C:
			if quiet && !c.flush(ping) {
				return
			}
			quiet = true
		}
	}
}

// flush writes b; false if the client is gone.
func (c *conn) flush(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(lostAfter * c.beat)) // closed: the write tells
	_, err := c.nc.Write(b)
	return err == nil
}
