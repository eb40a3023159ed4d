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
)

const (
	slabSize = 256 << 10 // bytes read into at a time, and kept while the log needs them
	retry    = 20 * time.Millisecond
)

// links is a TCP connection to, and one from, each other member.
type links struct {
	listener net.Listener
	to       []*link // by index; nil: this member
	from     []net.Conn
	reading  sync.WaitGroup
}

// dial connects each member to all others. receive is called with messages that
// came together, by a goroutine for each other member; wrote, when less is owed to one.
func dial(ctx context.Context, o member.Open, receive func([]*pb.Message), wrote func()) (*links, error) {
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
		if l.to[i], err = newLink(ctx, o.Addresses[addressesPerMember*i], wrote); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	for range o.Members - 1 {
		c, err := l.listener.Accept()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("raft: %w", err), l.close())
		}
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

// owed returns the bytes that sockets had no room for, at the member that is most behind, index
// but left out.
func (l *links) owed(but int) (most int) {
	for i, k := range l.to {
		if k != nil && i != but {
			k.mu.Lock()
			most = max(most, k.owed)
			k.mu.Unlock()
		}
	}
	return most
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

// read passes on what comes until the connection is closed, or closes it if that
// is damaged: raft goes on without it, and the bench finds messages missing.
func read(c net.Conn, receive func([]*pb.Message)) {
	defer c.Close()
	slab := make([]byte, slabSize)
	begin, end := 0, 0 // of what is read and not yet passed on
	for {
		n, err := c.Read(slab[end:])
		if err != nil {
			return
		}
		end += n
		messages, used, need, err := frames(slab[begin:end])
		if err != nil {
			return
		}
		if begin += used; len(messages) > 0 {
			receive(messages)
		}
		if begin+need > len(slab) || end == len(slab) {
			next := make([]byte, max(slabSize, need))
			end = copy(next, slab[begin:end])
			slab, begin = next, 0
		}
	}
}

// frames returns the messages of the whole frames in b, whose bytes they keep, how
// many bytes those are, and how many the next frame takes as far as that is known.
func frames(b []byte) (messages []*pb.Message, used, need int, err error) {
	for {
		need = lengthSize
		if len(b)-used < need {
			return messages, used, need, nil
		}
		size := binary.LittleEndian.Uint32(b[used:])
		if size > maxFrame {
			return nil, 0, 0, errFrame
		}
		if need += int(size); len(b)-used < need {
			return messages, used, need, nil
		}
		m, err := decode(b[used+lengthSize : used+need])
		if err != nil {
			return nil, 0, 0, err
		}
		messages = append(messages, m)
		used += need
	}
}
