package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/load"
	"cohort/internal/bench/member"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	natsPayload = 8 << 20 // bytes of the largest message
	natsPending = 1 << 30 // bytes that wait for a slow client before it is cut off
	natsBuffer  = 64 << 10
	natsReady   = 10 * time.Second
)

// window bounds what a member has published and not been delivered itself: NATS
// has no back pressure from subscribers to publishers.
type window struct{ messages, bytes int }

// of returns the window in messages of that size, at least some.
func (w window) of(size int) uint64 { return uint64(max(4, min(w.messages, w.bytes/size))) }

// natsMedium is a member's client, and the server in its process if it has one.
type natsMedium struct {
	sink   member.Sink
	window window
	server *server.Server
	store  string // folder of the server's metadata; "": it has none
	conn   *nats.Conn
	prefix string // of subjects; the rank of the sender follows
	stop   func() // before the connection is closed

	publish func(subject string, b []byte) error
	subject string // own
	self    atomic.Int64
	limit   uint64

	sent uint64        // own messages
	got  atomic.Uint64 // of them, delivered here
	room chan struct{} // something was
	fail chan error    // the first failure
}

func newNATS(sink member.Sink, w window) *natsMedium {
	return &natsMedium{
		sink: sink, window: w, prefix: "bench.", stop: func() {},
		room: make(chan struct{}, 1), fail: make(chan error, 1),
	}
}

// openNATS joins NATS core: one broker, in the process of member 0.
func openNATS(ctx context.Context, o member.Open, sink member.Sink) (_ *natsMedium, err error) {
	m := newNATS(sink, window{messages: 16384, bytes: 8 << 20})
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if o.Index == 0 {
		options, err := serverOptions(o)
		if err != nil {
			return nil, err
		}
		if err := m.serve(options); err != nil {
			return nil, err
		}
	}
	if err := m.connect(ctx, o.Addresses[0]); err != nil {
		return nil, err
	}
	m.publish = m.conn.Publish
	sub, err := m.conn.Subscribe(m.prefix+"*", m.deliver)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	return m, m.conn.FlushTimeout(natsReady) // the broker knows of the subscription
}

// serverOptions are those of a member's server: quiet, and patient with slow clients.
func serverOptions(o member.Open) (*server.Options, error) {
	host, port, err := split(o.Addresses[addressesPerMember*o.Index])
	if err != nil {
		return nil, err
	}
	return &server.Options{
		ServerName: serverName(o.Index), Host: host, Port: port, NoLog: true, NoSigs: true,
		MaxPayload: natsPayload, MaxPending: natsPending, WriteDeadline: time.Minute, NoFastProducerStall: true,
	}, nil
}

func serverName(index int) string { return fmt.Sprint("member-", index) }

func split(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil {
		return "", 0, fmt.Errorf("address %q: %w", address, err)
	}
	return host, port, nil
}

// serve starts the server of this process.
func (m *natsMedium) serve(options *server.Options) (err error) {
	if m.server, err = server.NewServer(options); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	m.server.Start()
	if !m.server.ReadyForConnections(natsReady) {
		return fmt.Errorf("nats: the server at %s:%d did not start within %v", options.Host, options.Port, natsReady)
	}
	return nil
}

// connect connects the client, once the server is there.
func (m *natsMedium) connect(ctx context.Context, address string) (err error) {
	for {
		m.conn, err = nats.Connect("nats://"+address, nats.WriteBufferSize(natsBuffer), nats.NoReconnect(),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				m.failed(fmt.Errorf("nats: the connection to %s ended: %w", address, cmp.Or(err, nats.ErrConnectionClosed)))
			}),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { m.failed(err) }))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nats: connect to %s: %w", address, err)
		case <-time.After(retry):
		}
	}
}

// failed keeps the first failure, for who sends.
func (m *natsMedium) failed(err error) {
	select {
	case m.fail <- err:
	default:
	}
}

// deliver hands up a message. The last part of its subject is its sender's rank. An own
// one is counted first: with the last of a row the sink lets the next row begin.
func (m *natsMedium) deliver(msg *nats.Msg) {
	from, err := strconv.Atoi(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:])
	if err != nil {
		from = -1 // the check will say so
	}
	if from == int(m.self.Load()) {
		m.got.Add(1)
		select {
		case m.room <- struct{}{}:
		default:
		}
	}
	m.sink(from, msg.Data)
}

// Begin notes the rank and size of the row. Nothing is in flight.
func (m *natsMedium) Begin(row member.Row) error {
	m.subject = m.prefix + strconv.Itoa(row.Self)
	m.limit = m.window.of(row.Size)
	m.sent = 0
	m.got.Store(0)
	m.self.Store(int64(row.Self))
	return nil
}

// Send publishes what src makes, when it is due. The client's own goroutine
// writes what has gathered as soon as it gets to it.
func (m *natsMedium) Send(ctx context.Context, src *load.Source) error {
	return exactly(func() error {
		for due := src.Due(); due != clock.Never; due = src.Due() {
			if due > clock.Now() {
				clock.SleepUntil(due)
			}
			if err := m.wait(ctx); err != nil {
				return err
			}
			if err := m.publish(m.subject, src.Next()); err != nil {
				return err
			}
			m.sent++
		}
		return nil
	})
}

// wait waits for room in the window.
func (m *natsMedium) wait(ctx context.Context) error {
	for m.sent-m.got.Load() >= m.limit {
		select {
		case <-m.room:
		case err := <-m.fail:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Losses are TCP's to know; a message that is lost above it fails the run.
func (m *natsMedium) Losses() member.Losses { return member.Losses{} }

// Close ends all deliveries.
func (m *natsMedium) Close() (err error) {
	m.stop()
	if m.conn != nil {
		m.conn.Close()
	}
	if m.server != nil {
		m.server.Shutdown()
		m.server.WaitForShutdown()
	}
	if m.store != "" {
		err = os.RemoveAll(m.store)
	}
	return err
}
