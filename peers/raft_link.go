package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"golang.org/x/sys/unix"
)

const maxVector = 1024 // buffers that one writev takes

// link is a connection to a member. The raft's lock is held for add and flush.
type link struct {
	conn  net.Conn
	wrote func()      // called when the socket took some of rest
	next  net.Buffers // what is added

	mu    sync.Mutex
	rest  net.Buffers // what the socket had no room for
	busy  bool        // some of that is being written
	owed  int         // bytes of both
	more  sync.Cond
	ended bool
	done  chan struct{} // closed when nothing writes any more
}

func newLink(ctx context.Context, address string, wrote func()) (*link, error) {
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			k := &link{conn: c, wrote: wrote, done: make(chan struct{})}
			k.more.L = &k.mu
			go k.writeRest()
			return k, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("raft: %w", err)
		}
		time.Sleep(retry) // not yet listening
	}
}

// add adds a message to what is to be sent.
func (k *link) add(m *pb.Message) error {
	head, err := appendHeader(nil, m)
	if err != nil {
		return err
	}
	k.next = append(k.next, head)
	for _, e := range m.GetEntries() {
		if len(e.GetData()) > 0 {
			k.next = append(k.next, e.GetData())
		}
	}
	return nil
}

// flush sends as much as the socket takes without waiting, which is mostly all; the
// rest goes to a goroutine that may wait.
func (k *link) flush() {
	if len(k.next) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.next
	if len(k.rest) == 0 && !k.busy {
		next = k.try(next)
	}
	if len(next) > 0 {
		k.rest = append(k.rest, next...)
		for _, b := range next {
			k.owed += len(b)
		}
		k.more.Signal()
	}
	clear(k.next)
	k.next = k.next[:0]
}

// try writes without waiting and returns what is left. An error of the connection
// shows when that is written.
func (k *link) try(b net.Buffers) net.Buffers {
	raw, err := k.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return b
	}
	n := 0
	_ = raw.Write(func(fd uintptr) bool {
		n, _ = unix.Writev(int(fd), b[:min(len(b), maxVector)])
		return true
	})
	for len(b) > 0 && n >= len(b[0]) {
		n -= len(b[0])
		b = b[1:]
	}
	if n > 0 {
		b[0] = b[0][n:]
	}
	return b
}

// writeRest writes what could not be written at once.
func (k *link) writeRest() {
	defer close(k.done)
	for {
		k.mu.Lock()
		for k.busy = false; len(k.rest) == 0 && !k.ended; {
			k.more.Wait()
		}
		b := k.rest
		k.rest, k.busy = nil, true
		ended := k.ended
		k.mu.Unlock()
		if ended {
			return
		}
		n, err := b.WriteTo(k.conn)
		if err != nil {
			_ = k.conn.Close() // the bench finds messages missing
		}
		k.mu.Lock()
		k.owed -= int(n)
		k.mu.Unlock()
		k.wrote()
	}
}

func (k *link) close() {
	k.mu.Lock()
	k.ended = true
	k.more.Signal()
	k.mu.Unlock()
	_ = k.conn.Close()
	<-k.done
}
