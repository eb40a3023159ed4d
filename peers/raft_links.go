package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"cohort/internal/bench/member"

	pb "go.etcd.io/raft/v3/raftpb"
	"golang.org/x/sys/unix"
)

const (
	slabSize   = 256 << 10 // bytes read into at a time, and kept while the log needs them
	socketSize = 4 << 20   // bytes of each socket's buffers asked for
	maxVector  = 1024      // buffers that one writev takes
	retry      = 20 * time.Millisecond
)

// links is a TCP connection to, and one from, each other member.
type links struct {
	listener net.Listener
	to       []*link // by index; nil: this member
	from     []net.Conn
	reading  sync.WaitGroup
}

// dial connects each member to all others. receive is called with messages that
// came together, by a goroutine for each other member.
func dial(ctx context.Context, o member.Open, receive func([]*pb.Message)) (*links, error) {
	l := &links{to: make([]*link, o.Members)}
	var err error
	if l.listener, err = net.Listen("tcp", o.Addresses[addressesPerMember*o.Index]); err != nil {
		return nil, fmt.Errorf("raft: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = l.listener.Close() })()
	for i := range l.to {
		if i == o.Index {
			continue
		}
		if l.to[i], err = newLink(ctx, o.Addresses[addressesPerMember*i]); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	for range o.Members - 1 {
		c, err := l.listener.Accept()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("raft: %w", err), l.close())
		}
		_ = c.(*net.TCPConn).SetReadBuffer(socketSize) // less is slower, no more
		l.from = append(l.from, c)
	}
	for _, c := range l.from {
		l.reading.Go(func() { read(c, receive) })
	}
	return l, nil
}

// send sends messages, those for one member with one system call.
func (l *links) send(messages []*pb.Message) error {
	for _, m := range messages {
		i := int(m.GetTo()) - 1
		if i < 0 || i >= len(l.to) || l.to[i] == nil {
			return fmt.Errorf("raft: a message for member %d", m.GetTo())
		}
		if err := l.to[i].add(m); err != nil {
			return err
		}
	}
	for _, k := range l.to {
		if k != nil {
			k.flush()
		}
	}
	return nil
}

func (l *links) close() error {
	_ = l.listener.Close()
	for _, k := range l.to {
		if k != nil {
			k.close()
		}
	}
	for _, c := range l.from {
		_ = c.Close()
	}
	l.reading.Wait()
	return nil
}

// read passes on what comes until the connection is closed.
func read(c net.Conn, receive func([]*pb.Message)) {
	slab := make([]byte, slabSize)
	begin, end := 0, 0 // of what is read and not yet passed on
	for {
		n, err := c.Read(slab[end:])
		if err != nil {
			return
		}
		end += n
		var messages []*pb.Message
		need := lengthSize
		for end-begin >= lengthSize {
			size := int(binary.LittleEndian.Uint32(slab[begin:]))
			if need = lengthSize + size; end-begin < need {
				break
			}
			m, err := decode(slab[begin+lengthSize : begin+need])
			if err != nil || size > maxFrame {
				_ = c.Close() // raft goes on without it, and the bench finds messages missing
				return
			}
			messages = append(messages, m)
			begin += need
			need = lengthSize
		}
		if len(messages) > 0 {
			receive(messages)
		}
		if need > maxFrame+lengthSize {
			_ = c.Close()
			return
		}
		if len(slab)-begin < need || len(slab) == end {
			next := make([]byte, max(slabSize, need))
			end = copy(next, slab[begin:end])
			slab, begin = next, 0
		}
	}
}

// link is a connection to a member. The raft's lock is held for add and flush.
type link struct {
	conn net.Conn
	next net.Buffers // what is added

	mu    sync.Mutex
	rest  net.Buffers // what the socket had no room for
	busy  bool        // some of that is being written
	more  sync.Cond
	ended bool
	done  chan struct{} // closed when nothing writes any more
}

func newLink(ctx context.Context, address string) (*link, error) {
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.(*net.TCPConn).SetWriteBuffer(socketSize) // less is slower, no more
			k := &link{conn: c, done: make(chan struct{})}
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
		if _, err := b.WriteTo(k.conn); err != nil {
			_ = k.conn.Close() // the bench finds messages missing
		}
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
