package control

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestLettersBothWays(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.Send(2, []byte("to b"))
	b.wantBody(1, "to b")
	b.Send(1, nil)
	a.wantBody(2, "")
	a.Send(3, []byte("nobody"))
	a.quiet()
	b.quiet()
}

// TestOrderAndIntegrity: letters of all sizes from several goroutines arrive
// whole, and those of each goroutine in order.
func TestOrderAndIntegrity(t *testing.T) {
	t.Parallel()
	const senders, letters = 4, 2000
	a, b := pair(t)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range letters {
				a.Send(2, numbered(byte(s), uint32(i)))
			}
		})
	}
	var next [senders]uint32
	for range senders * letters {
		body := b.want(Received, 1).Body
		s := body[0]
		if !bytes.Equal(body, numbered(s, next[s])) {
			t.Fatalf("letter %d of sender %d is not what comes next, %d", binary.LittleEndian.Uint32(body[1:]), s, next[s])
		}
		next[s]++
	}
	wg.Wait()
}

func numbered(sender byte, i uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{sender}, i)
	return append(b, bytes.Repeat([]byte{byte(i)}, int(i*7919%3000))...)
}

func TestHugeLetters(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), MaxFrame/16)
	a.Send(2, body)
	a.Send(2, []byte("after it"))
	if got := b.want(Received, 1).Body; !bytes.Equal(got, body) {
		t.Fatalf("%d bytes, want %d; or they differ", len(got), len(body))
	}
	b.wantBody(1, "after it")
	a.Send(2, make([]byte, MaxFrame+1))
	a.wantErr(2, ErrTooLarge)
	b.want(Disconnected, 1)
}

func TestOversizedClaim(t *testing.T) {
	t.Parallel()
	b := open(t, 2)
	c := rawPeer(t, b, 1)
	b.want(Connected, 1)
	write(t, c, binary.LittleEndian.AppendUint32(nil, MaxFrame+1))
	b.wantErr(1, ErrTooLarge)
}

func TestAbruptCloseIsSeen(t *testing.T) {
	t.Parallel()
	b := open(t, 2)
	for attempt, broken := range []string{"", "\x05\x00\x00\x00abc"} {
		c := rawPeer(t, b, uint64(attempt+1))
		b.want(Connected, 1)
		write(t, c, []byte("\x02\x00\x00\x00hi"+broken))
		b.wantBody(1, "hi")
		_ = c.SetLinger(0) // a reset, as of a process that was killed with unread bytes
		_ = c.Close()
		b.want(Disconnected, 1)
	}
	b.quiet()
}

// mute is a connection that does not write any more.
type mute struct {
	net.Conn
	failed chan struct{}
}

var errMute = errors.New("mute")

func (c mute) Write([]byte) (int, error) {
	c.failed <- struct{}{}
	return 0, errMute
}

func (c mute) CloseWrite() error { return nil }

// muted returns a node with a peer to which it has just failed to write, and the
// peer's end of the connection.
func muted(t *testing.T) (*node, net.Conn) {
	t.Helper()
	b := open(t, 2)
	near, far := net.Pipe()
	t.Cleanup(func() { _ = far.Close() })
	c := mute{near, make(chan struct{}, 1)}
	b.mu.Lock()
	b.start(newPeer(b.Mesh, 1, c, c, 1))
	b.unlock()
	b.want(Connected, 1)
	b.Send(1, []byte("does not go"))
	<-c.failed
	return b, far
}

// TestLastLettersAreRead although a write has failed before they were.
func TestLastLettersAreRead(t *testing.T) {
	t.Parallel()
	b, far := muted(t)
	for range 3 {
		write(t, far, []byte("\x02\x00\x00\x00hi"))
	}
	_ = far.Close()
	for range 3 {
		b.wantBody(1, "hi")
	}
	b.wantErr(1, errMute)
	b.quiet()
}

// TestLastLettersAreNotWaitedForLong: the peer lives, and closes nothing.
func TestLastLettersAreNotWaitedForLong(t *testing.T) {
	t.Parallel()
	b, _ := muted(t)
	b.Send(1, []byte("dropped"))
	b.wantErr(1, errMute)
	closed(t, b)
}

func TestTruncatedFrame(t *testing.T) {
	t.Parallel()
	b := open(t, 2)
	c := rawPeer(t, b, 1)
	b.want(Connected, 1)
	write(t, c, []byte("\x05\x00\x00\x00abc"))
	_ = c.Close()
	b.wantErr(1, io.ErrUnexpectedEOF)
}

// TestReplaced: a newer connection takes the place of the old one, and an older
// one that comes late does not.
func TestReplaced(t *testing.T) {
	t.Parallel()
	b := open(t, 2)
	old := rawPeer(t, b, 5)
	b.want(Connected, 1)
	newer := rawPeer(t, b, 6)
	b.wantErr(1, ErrReplaced)
	b.want(Connected, 1)
	if _, err := old.Read(make([]byte, 1)); err == nil {
		t.Error("the old connection is still open")
	}
	late := rawDial(t, b)
	write(t, late, hello{kind: kindPeer, cluster: 7, from: 1, to: 2, attempt: 4}.encode())
	if a, err := readAnswer(late); err != nil || a.verdict != stale {
		t.Errorf("a late connection: answer %+v, error %v; want %d", a, err, stale)
	}
	write(t, newer, []byte("\x02\x00\x00\x00hi"))
	b.wantBody(1, "hi")
	b.quiet()
}

// TestBothDial: one connection comes of it, and it stays.
func TestBothDial(t *testing.T) {
	t.Parallel()
	for i := range 50 {
		a, b := open(t, 1), open(t, 2)
		var wg sync.WaitGroup
		wg.Go(func() { a.Dial(2, b.Addr()) })
		wg.Go(func() { b.Dial(1, a.Addr()) })
		wg.Wait()
		a.want(Connected, 2)
		b.want(Connected, 1)
		text := fmt.Sprint("round ", i)
		a.Send(2, []byte(text))
		b.wantBody(1, text)
		b.Send(1, []byte(text))
		a.wantBody(2, text)
		a.quiet()
		b.quiet()
		_, _ = a.Close(), b.Close()
	}
}

func TestHangupWritesFirst(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.Send(1, []byte("never polled"))
	for range 100 {
		a.Send(2, []byte("last words"))
	}
	a.Hangup(2)
	a.Send(2, []byte("too late"))
	for range 100 {
		b.wantBody(1, "last words")
	}
	b.wantErr(1, io.EOF)
	a.quiet()
	a.Dial(2, b.Addr())
	a.want(Connected, 2)
	b.want(Connected, 1)
}

// TestHangupIsBounded: the other side reads nothing.
func TestHangupIsBounded(t *testing.T) {
	t.Parallel()
	b := open(t, 2)
	c := rawPeer(t, b, 1)
	b.want(Connected, 1)
	for range 3 {
		b.Send(1, make([]byte, MaxFrame))
	}
	b.Hangup(1)
	closed(t, b)
	n, _ := io.Copy(io.Discard, c)
	if n >= 3*MaxFrame {
		t.Errorf("%d bytes were written to one who did not read", n)
	}
}

// closed waits until n has no connection to a peer open.
func closed(t *testing.T, n *node) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		n.mu.Lock()
		open := len(n.links)
		n.mu.Unlock()
		if open == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are still open", open)
		}
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.Send(2, []byte("one"))
	b.wantBody(1, "one")
	a.Send(2, []byte("two, which nobody polls"))
	<-b.bell
	b.Identify(3)
	b.quiet()
	a.want(Disconnected, 2)
	a.Dial(2, b.Addr())
	a.wantErr(2, ErrIdentity)
	a.Dial(3, b.Addr())
	a.want(Connected, 3)
	b.want(Connected, 1)
	a.Send(3, []byte("three"))
	b.wantBody(1, "three")
	b.quiet()
}

// TestIdentifyGivesUpDials: to one who accepts and says nothing.
func TestIdentifyGivesUpDials(t *testing.T) {
	t.Parallel()
	silent, addr := listen(t)
	a := open(t, 1)
	a.Dial(2, addr)
	c := acceptOne(t, silent)
	a.Identify(3)
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the dial was not given up: %v", err)
	}
	a.quiet()
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	b := open(t, 2)
	rawPeer(t, b, 1) // reads nothing
	b.want(Connected, 1)
	for range MaxBacklog/MaxFrame + 1 {
		b.Send(1, make([]byte, MaxFrame))
	}
	b.wantErr(1, ErrBacklog)
}

// TestBackPressure: one who does not poll is not filled, loses nothing, and can
// be closed.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	const size, letters = 1 << 20, 200
	b := open(t, 2)
	c := rawPeer(t, b, 1)
	b.want(Connected, 1)
	go func() {
		frame := append(binary.LittleEndian.AppendUint32(nil, size), make([]byte, size)...)
		for i := 0; ; i++ {
			frame[4] = byte(i)
			if _, err := c.Write(frame); err != nil {
				return
			}
		}
	}()
	for end := time.Now().Add(patience); unpolled(b) < MaxBacklog; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes came", unpolled(b))
		}
	}
	time.Sleep(20 * time.Millisecond) // what should not come has time to
	if n := unpolled(b); n > MaxBacklog+size+letterOverhead {
		t.Errorf("%d bytes wait, at most %d should", n, MaxBacklog+size)
	}
	for i := range letters {
		if body := b.want(Received, 1).Body; len(body) != size || body[0] != byte(i) {
			t.Fatalf("letter %d: %d bytes, numbered %d", i, len(body), body[0])
		}
	}
	// It fills again, and Cleanup closes it in that state.
}

func unpolled(n *node) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unpolled[1]
}

// TestCloseWritesFirst, and twice is once.
func TestCloseWritesFirst(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.Send(2, []byte("last words"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b.wantBody(1, "last words")
	b.want(Disconnected, 1)
	a.Dial(2, b.Addr())
	a.Send(2, []byte("too late"))
	a.quiet()
}

func listen(t *testing.T) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).AddrPort()
}

func acceptOne(t *testing.T, l *net.TCPListener) net.Conn {
	t.Helper()
	_ = l.SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}
