// Command peers is a member of a system that one might pick instead of this
// engine: etcd's raft, NATS, or NATS JetStream. "vsbench peers" starts one process
// per member and system, and tells each over standard input what to do, as it
// does with its own members: the messages, the load, the clock and the checks are
// the same. README.md says how each system is driven, and why that is fair.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"cohort/internal/bench/clock"
	"cohort/internal/bench/member"
)

// The levels that this program has.
const (
	levelRaft      = "raft"
	levelNATS      = "nats"
	levelJetStream = "jetstream"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintf(os.Stderr, "peers: %q: want no arguments; vsbench peers starts this program\n", os.Args[1:])
		os.Exit(2)
	}
	if err := member.Serve(context.Background(), os.Stdin, os.Stdout, open); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// peer is one system's medium.
type peer interface {
	member.Medium
	Close() error
}

// open is a member.Opener of one level.
func open(ctx context.Context, o member.Open, sink member.Sink) (member.Media, error) {
	if len(o.Levels) != 1 {
		return nil, fmt.Errorf("levels %q: want one for each process", o.Levels)
	}
	if want := addressesPerMember * o.Members; len(o.Addresses) != want || o.Index < 0 || o.Index >= o.Members {
		return nil, fmt.Errorf("member %d of %d has %d addresses: want %d", o.Index, o.Members, len(o.Addresses), want)
	}
	m := &media{level: o.Levels[0]}
	var err error
	switch m.level {
	case levelRaft:
		m.versions = versions("go.etcd.io/raft/v3")
		m.peer, err = openRaft(ctx, o, sink)
	case levelNATS:
		m.versions = versions("github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go")
		m.peer, err = openNATS(ctx, o, sink)
	case levelJetStream:
		m.versions = versions("github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go")
		m.peer, err = openJetStream(ctx, o, sink)
	default:
		err = fmt.Errorf("level %q: want %s, %s or %s", m.level, levelRaft, levelNATS, levelJetStream)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// addressesPerMember is how many of member.Open.Addresses belong to each member.
const addressesPerMember = 2

// media is a process's only medium.
type media struct {
	level    string
	versions []string
	peer     peer
}

func (m *media) Opened() member.Opened {
	return member.Opened{Rank: -1, PID: os.Getpid(), Versions: m.versions}
}

func (m *media) For(row member.Row) (member.Medium, error) {
	if row.Level != m.level {
		return nil, fmt.Errorf("level %q was not opened, but %q", row.Level, m.level)
	}
	return m.peer, nil
}

// Join is refused: nobody asks for more groups than one here.
func (m *media) Join(context.Context, int, time.Duration) (int, error) {
	return 0, fmt.Errorf("%s has no groups", m.level)
}

func (m *media) Close() error { return m.peer.Close() }

// exactly calls f on a thread of its own whose sleeps end when they should.
func exactly(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := clock.PrepareThread(); err != nil {
		return err
	}
	return f()
}

// versions returns those of modules that this program was built from.
func versions(modules ...string) (list []string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, d := range info.Deps {
		if slices.Contains(modules, d.Path) {
			list = append(list, d.Path+" "+d.Version)
		}
	}
	return list
}
