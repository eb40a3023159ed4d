package client

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"cohort/client/session"
	"cohort/engine"
	"cohort/internal/frame"
)

// raw connects to a member without the package's help.
func raw(t *testing.T, p *place) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func hello(id uint64) session.Hello {
	return session.Hello{Client: id, Epoch: 1, Beat: int64(time.Second), Groups: []string{"orders"}}
}

// await reads frames until one of this kind.
func await(t *testing.T, nc net.Conn, kind session.FrameKind) session.Frame {
	t.Helper()
	for {
		b, err := frame.Read(nc, nil, 1<<20)
		if err != nil {
			t.Fatalf("waiting for a frame of kind %d: %v", kind, err)
		}
		if f, err := session.ParseFrame(b); err == nil && f.Kind == kind {
			return f
		}
	}
}

// TestHostileClients: who does not keep to the protocol is hung up on, and disturbs
// nobody.
func TestHostileClients(t *testing.T) {
	places := openPlaces(t, 2)
	c, g := dial(t, nil, addrs(places)...)
	id := uint64(99)
	request := func(b []byte) []byte {
		return framed(nil, func(to []byte) []byte {
			return append(session.Frame{Kind: session.FrameRequest, Level: engine.Total}.Append(to), b...)
		})
	}
	for _, k := range []struct {
		what string
		send []byte
	}{
		{"no envelope", request(nil)},
		{"a member's own message", request([]byte{session.Own, 'x'})},
		{"another client's", request(session.AppendEnvelope(nil, false, c.id, 1, 1, []byte("forged")))},
		{"a gap", request(session.AppendEnvelope(nil, false, 103, 2, 1, []byte("forged")))},
		{"no such group", framed(nil, session.Frame{Kind: session.FrameRequest, Group: 7}.Append)},
		{"no such kind", framed(nil, func(b []byte) []byte { return append(b, 77) })},
	} {
		nc := raw(t, places[0])
		id++
		if _, err := nc.Write(framed(nil, hello(id).Append)); err != nil {
			t.Fatal(err)
		}
		await(t, nc, session.FrameWelcome)
		if _, err := nc.Write(k.send); err != nil {
			t.Fatal(err)
		}
		if f := await(t, nc, session.FrameRefused); f.Code != session.Broken {
			t.Errorf("%s: refused because %v, want %v", k.what, f.Code, session.Broken)
		}
	}
	for range 50 {
		nc := raw(t, places[0])
		junk := make([]byte, rand.IntN(300))
		for i := range junk {
			junk[i] = byte(rand.Uint32())
		}
		if rand.IntN(2) == 0 {
			junk = append(framed(nil, hello(rand.Uint64()).Append), junk...)
		}
		_, _ = nc.Write(junk) // it may have been hung up on already
		_ = nc.Close()
	}
	nc := raw(t, places[1])
	_, _ = nc.Write(binary.LittleEndian.AppendUint32(nil, 1<<31))
	if _, err := io.Copy(io.Discard, nc); err != nil {
		t.Errorf("a hello of 2 GiB: %v, want to be hung up on", err)
	}
	if replies, err := g.Ask(patient(t), engine.Total, []byte("well?"), engine.All); err != nil || len(replies) != 2 {
		t.Errorf("afterwards: %d replies, %v", len(replies), err)
	}
	for i, p := range places {
		for _, s := range p.replica.list() {
			if bytes.Contains([]byte(s), []byte("forged")) {
				t.Errorf("member %d applied %q", i, s)
			}
		}
	}
}

// TestSilentMember: a member that is there and says nothing is given up within the
// client's timeout, about.
func TestSilentMember(t *testing.T) {
	places := openPlaces(t, 2)
	ways := []*freezer{freezable(t, places[0].addr), freezable(t, places[1].addr)}
	c, g := dial(t, func(cfg *Config) { cfg.Timeout = 400 * time.Millisecond }, ways[0].addr, ways[1].addr)
	if err := g.Send(patient(t), engine.FIFO, []byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := c.Sync(patient(t)); err != nil {
		t.Fatal(err)
	}
	for _, f := range ways {
		f.still.Store(f.used.Load())
	}
	start := time.Now()
	if _, err := g.Ask(patient(t), engine.Total, []byte("after"), engine.All); err != nil {
		t.Fatal(err)
	}
	t.Logf("went on after %v, with a timeout of %v", time.Since(start), c.cfg.Timeout)
	if c.Moves() < 2 {
		t.Errorf("%d moves", c.Moves())
	}
}

// freezer passes bytes on until it stands still, and stays connected.
type freezer struct {
	addr  string
	still atomic.Bool
	used  atomic.Bool
}

func freezable(t *testing.T, to string) *freezer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &freezer{addr: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			f.used.Store(true)
			go f.pass(near, far)
			go f.pass(far, near)
		}
	}()
	return f
}

func (f *freezer) pass(from, to net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		k, err := from.Read(b)
		if err != nil {
			return
		}
		if f.still.Load() {
			continue
		}
		if _, err := to.Write(b[:k]); err != nil {
			return
		}
	}
}
