package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"cohort/internal/bench/member"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	stream      = "BENCH"
	streamKeeps = 64 << 20 // bytes of messages

	streamLook     = 100 * time.Millisecond
	streamPatience = 2 * time.Second // with one request
)

// openJetStream joins a cluster of a server in each process, which keep a stream
// together, in memory.
func openJetStream(ctx context.Context, o member.Open, sink member.Sink) (_ *natsMedium, err error) {
	m := newNATS(sink, window{messages: 1024, bytes: 4 << 20})
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	options, err := m.clusterOptions(o)
	if err != nil {
		return nil, err
	}
	if err := m.serve(options); err != nil {
		return nil, err
	}
	if err := m.connect(ctx, o.Addresses[addressesPerMember*o.Index]); err != nil {
		return nil, err
	}
	js, err := jetstream.New(m.conn, jetstream.WithPublishAsyncMaxPending(2*m.window.messages),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { m.failed(err) }))
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	m.publish = func(subject string, b []byte) error {
		_, err := js.PublishAsync(subject, b)
		return err
	}
	if o.Index == 0 {
		if err := m.create(ctx, js, o.Members); err != nil {
			return nil, err
		}
	}
	return m, m.consume(ctx, js)
}

// clusterOptions are those of a server with routes to all others.
func (m *natsMedium) clusterOptions(o member.Open) (_ *server.Options, err error) {
	options, err := serverOptions(o)
	if err != nil {
		return nil, err
	}
	if m.store, err = os.MkdirTemp("", "cohort-jetstream-"); err != nil {
		return nil, err
	}
	options.JetStream, options.StoreDir = true, m.store
	options.JetStreamMaxMemory, options.JetStreamMaxStore = 1<<30, 1<<30
	options.StreamMaxBufferedMsgs, options.StreamMaxBufferedSize = 1<<20, 1<<30
	options.Cluster.Name = "bench"
	if options.Cluster.Host, options.Cluster.Port, err = split(o.Addresses[addressesPerMember*o.Index+1]); err != nil {
		return nil, err
	}
	for i := range o.Members {
		if i != o.Index {
			options.Routes = append(options.Routes, &url.URL{Scheme: "nats", Host: o.Addresses[addressesPerMember*i+1]})
		}
	}
	return options, nil
}

// create makes the stream and has this member's server lead it: at one sender, it is the one.
func (m *natsMedium) create(ctx context.Context, js jetstream.JetStream, members int) error {
	config := jetstream.StreamConfig{
		Name: stream, Subjects: []string{m.prefix + "*"}, Storage: jetstream.MemoryStorage, Replicas: members,
		MaxBytes: streamKeeps, Discard: jetstream.DiscardOld,
	}
	return patiently(ctx, func(ctx context.Context) error {
		s, err := js.CreateOrUpdateStream(ctx, config)
		if err != nil {
			return err
		}
		info, err := s.Info(ctx)
		switch me := m.server.Name(); {
		case err != nil:
			return err
		case info.Cluster == nil || len(info.Cluster.Replicas) != members-1:
			return fmt.Errorf("the stream is not kept by %d servers", members)
		case info.Cluster.Leader == me:
			return nil
		default:
			want := fmt.Sprintf(`{"placement":{"preferred":%q}}`, me)
			if _, err := m.conn.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, []byte(want)); err != nil {
				return err
			}
			return fmt.Errorf("%q leads the stream, and not yet %q", info.Cluster.Leader, me)
		}
	})
}

// consume has the stream pushed to this member's client, without acknowledgements.
func (m *natsMedium) consume(ctx context.Context, js jetstream.JetStream) error {
	inbox := m.conn.NewInbox()
	sub, err := m.conn.Subscribe(inbox, m.deliver)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	return patiently(ctx, func(ctx context.Context) error {
		_, err := js.CreatePushConsumer(ctx, stream, jetstream.ConsumerConfig{
			DeliverSubject: inbox, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy,
			Replicas: 1, MemoryStorage: true,
		})
		return err
	})
}

// patiently calls f until it succeeds: the servers are still finding each other.
func patiently(ctx context.Context, f func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, streamPatience)
		err := f(once)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("jetstream: %w", errors.Join(err, ctx.Err()))
		case <-time.After(streamLook):
		}
	}
}
