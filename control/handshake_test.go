package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"cohort/internal/frame"
)

func TestDialIsRefused(t *testing.T) {
	t.Parallel()
	a, b := open(t, 1), open(t, 2, func(c *Config) { c.Cluster = 8 })
	a.Dial(2, b.Addr())
	a.wantErr(2, ErrCluster)
	same := open(t, 2)
	a.Dial(3, same.Addr())
	a.wantErr(3, ErrIdentity)
	a.Dial(1, a.Addr())
	a.wantErr(1, ErrIdentity)
	nameless := open(t, 0)
	a.Dial(4, nameless.Addr())
	a.wantErr(4, ErrIdentity)
	nameless.Dial(1, a.Addr())
	nameless.wantErr(1, ErrIdentity)
	for _, n := range []*node{a, b, same, nameless} {
		n.quiet()
	}
}

func TestDialNobody(t *testing.T) {
	t.Parallel()
	l, addr := listen(t)
	_ = l.Close()
	a := open(t, 1)
	a.Dial(2, addr)
	a.want(Disconnected, 2)
}

// TestDialIsAnswered by what is no node, another version, or nothing.
func TestDialIsAnswered(t *testing.T) {
	t.Parallel()
	newer := answer{}.encode()
	newer[4] = version + 1
	odd := answer{verdict: 99}.encode()
	for _, c := range []struct {
		says []byte
		want error
	}{
		{[]byte("HTTP/1.1 400 Bad Request\r\n"), ErrProtocol},
		{newer, ErrVersion},
		{odd, ErrProtocol},
		{answer{verdict: accepted, id: 9}.encode(), ErrIdentity},
		{nil, context.DeadlineExceeded},
	} {
		l, addr := listen(t)
		a := open(t, 1)
		a.Dial(2, addr)
		write(t, acceptOne(t, l), c.says)
		if e := a.want(Disconnected, 2); !errors.Is(e.Err, c.want) {
			t.Errorf("answered %q: error %v, want %v", c.says, e.Err, c.want)
		}
	}
}

// TestHelloIsRefused: garbage gets no answer, another version one that says so,
// and a slow handshake ends.
func TestHelloIsRefused(t *testing.T) {
	t.Parallel()
	good := hello{kind: kindPeer, cluster: 7, from: 1, to: 2, attempt: 1}
	newer := good.encode()
	newer[4] = version + 1
	unknown := good.encode()
	unknown[5] = 3
	long := hello{kind: kindStream, cluster: 7, body: make([]byte, MaxHello+1)}.encode()
	b := open(t, 2)
	for name, c := range map[string]struct {
		says []byte
		want error
	}{
		"garbage":         {bytes.Repeat([]byte("x"), prefixSize), io.EOF},
		"unknown kind":    {unknown[:prefixSize], io.EOF},
		"too long":        {long[:prefixSize], io.EOF},
		"slow":            {good.encode()[:20], io.EOF},
		"silent":          {nil, io.EOF},
		"another version": {newer, ErrVersion},
		"no streams":      {hello{kind: kindStream, cluster: 7}.encode(), ErrKind},
	} {
		conn := rawDial(t, b)
		write(t, conn, c.says)
		a, err := readAnswer(conn)
		if err == nil {
			err = a.check(good, b.Addr())
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	b.quiet()
}

// TestTooManyHandshakes: those beyond the limit are closed at once, and places
// become free again.
func TestTooManyHandshakes(t *testing.T) {
	t.Parallel()
	b := open(t, 2)
	for range maxHandshakes {
		b.slots <- struct{}{}
	}
	if _, err := rawDial(t, b).Read(make([]byte, 1)); err == nil {
		t.Error("one too many was let in")
	}
	for range maxHandshakes {
		<-b.slots
	}
	rawPeer(t, b, 1)
	b.want(Connected, 1)
}

func TestFrameMemoryFollowsBytes(t *testing.T) {
	t.Parallel()
	claim := append(binary.LittleEndian.AppendUint32(nil, MaxFrame), make([]byte, 100)...)
	r := &greedy{Reader: bytes.NewReader(claim)}
	if _, err := frame.Read(r, nil, MaxFrame); err != io.ErrUnexpectedEOF {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if r.most > frame.GrowStep {
		t.Errorf("asked for %d bytes at a time when 100 had come, at most %d", r.most, frame.GrowStep)
	}
}

// greedy notes the most memory that a reader was given to fill.
type greedy struct {
	io.Reader
	most int
}

func (g *greedy) Read(b []byte) (int, error) {
	g.most = max(g.most, cap(b))
	return g.Reader.Read(b)
}

// FuzzHandshake feeds bytes to all that reads from the network. What it accepts
// must encode to the same bytes.
func FuzzHandshake(f *testing.F) {
	f.Add(hello{kind: kindPeer, cluster: 7, from: 1, to: 2, attempt: 3}.encode())
	f.Add(hello{kind: kindStream, cluster: 7, body: []byte("hello")}.encode())
	f.Add(answer{verdict: stale, id: 2, attempts: 3}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := readHello(bytes.NewReader(b)); err == nil && !bytes.HasPrefix(b, h.encode()) {
			t.Errorf("hello %+v from %x", h, b)
		}
		if a, err := readAnswer(bytes.NewReader(b)); err == nil {
			want := bytes.Clone(b[:answerSize])
			want[6], want[7] = 0, 0
			if !bytes.Equal(a.encode(), want) {
				t.Errorf("answer %+v from %x", a, b)
			}
		}
	})
}

// FuzzFrames: what is read encodes to the bytes that it was read from.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00hi\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x01half"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again bytes.Buffer
		for r := bytes.NewReader(b); ; {
			body, err := frame.Read(r, nil, MaxFrame)
			if err != nil {
				break
			}
			buffers := net.Buffers(appendFrames(nil, make([]byte, 4), [][]byte{body}))
			_, _ = buffers.WriteTo(&again)
		}
		if !bytes.HasPrefix(b, again.Bytes()) {
			t.Errorf("read %x from %x", again.Bytes(), b)
		}
	})
}
