package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"cohort/internal/bench/course"
	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"
	"cohort/internal/bench/run"
	"cohort/internal/freeport"

	"github.com/nats-io/nats.go"
)

// served is a member in this process, asked over pipes.
type served struct {
	in    *io.PipeWriter
	lines *bufio.Scanner
	ended chan error
}

func (s *served) Name() string { return "member" }

func (s *served) Ask(_ context.Context, q member.Request) (r member.Reply, err error) {
	if err := json.NewEncoder(s.in).Encode(q); err != nil {
		return r, err
	}
	if !s.lines.Scan() {
		return r, io.ErrUnexpectedEOF
	}
	if err := json.Unmarshal(s.lines.Bytes(), &r); err != nil {
		return r, err
	}
	if r.Error != "" {
		err = errors.New(r.Error)
	}
	return r, err
}

func (s *served) Close() error {
	_ = s.in.Close()
	return <-s.ended
}

func serve() *served {
	in, toIn := io.Pipe()
	out, toOut := io.Pipe()
	s := &served{in: toIn, lines: bufio.NewScanner(out), ended: make(chan error, 1)}
	s.lines.Buffer(nil, 16<<20)
	go func() {
		err := member.Serve(context.Background(), in, toOut, open)
		_ = toOut.Close()
		s.ended <- err
	}()
	return s
}

// addresses returns free ones of this machine.
func addresses(t *testing.T, n int) []string {
	t.Helper()
	list, err := freeport.Addresses(n)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestEachKeepsItsPromise runs each peer as the bench does: an order that is not
// kept, or a message that does not come, is an error of the run.
func TestEachKeepsItsPromise(t *testing.T) {
	for level, promise := range map[string]string{levelRaft: "safe-abcast", levelNATS: "fbcast", levelJetStream: "safe-abcast"} {
		t.Run(level, func(t *testing.T) {
			const members = 3
			where := addresses(t, addressesPerMember*members)
			var callers []fleet.Caller
			for range members {
				callers = append(callers, fleet.NewJoint([]fleet.System{{Caller: serve(), Levels: []string{level}, Addresses: where}}))
			}
			f := fleet.New(callers)
			res, err := run.New(run.Plan{
				Levels: []string{level}, Peers: course.Promises{level: promise}, Sizes: []int{64, 100_000}, Senders: []int{1, members},
				Duration: 300 * time.Millisecond, Load: 1000, Network: "loopback", Open: member.Open{Interface: "lo"},
			}, f, func(_, _ int, text string) { t.Log(text) }).Run(t.Context())
			if closed := f.Close(); err != nil || closed != nil {
				t.Fatal(err, closed)
			}
			for _, r := range res.Rows {
				if !r.Verified || r.Lost != 0 || len(r.MemberRates) != members || r.P50Us <= 0 {
					t.Errorf("row %+v", r)
				}
			}
			if len(res.Rows) != 4 || len(res.Idle) != 1 || !res.Idle[0].Verified {
				t.Errorf("%d rows, idle %+v", len(res.Rows), res.Idle)
			}
		})
	}
}

// TestRowsFollowOneAnother: the next row may begin while the last message of a row is
// still in the hands of the sink, and its window is empty then.
func TestRowsFollowOneAnother(t *testing.T) {
	var m *natsMedium
	row := member.Row{Self: 1, Size: 1 << 20}
	m = newNATS(func(int, []byte) { _ = m.Begin(row) }, window{messages: 1, bytes: 1})
	_ = m.Begin(row)
	m.sent = 1
	m.deliver(&nats.Msg{Subject: m.subject})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := m.wait(ctx); err != nil {
		t.Errorf("nothing is in flight, and a message waits: %v", err)
	}
}

// TestOpenSaysWhatIsWrong: bad requests get an error that names what was expected.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, o := range []member.Open{
		{Members: 1, Levels: []string{"fbcast"}, Addresses: make([]string, 2)},
		{Members: 1, Levels: []string{"raft", "nats"}, Addresses: make([]string, 2)},
		{Members: 3, Levels: []string{"raft"}, Addresses: make([]string, 2)},
		{Members: 1, Index: 1, Levels: []string{"raft"}, Addresses: make([]string, 2)},
		{Members: 1, Levels: []string{"raft"}, Addresses: []string{"nowhere", "127.0.0.1:0"}},
		{Members: 1, Levels: []string{"nats"}, Addresses: []string{"nowhere", "127.0.0.1:0"}},
	} {
		if m, err := open(t.Context(), o, func(int, []byte) {}); err == nil {
			_ = m.Close()
			t.Errorf("%+v was opened", o)
		} else {
			t.Log(fmt.Sprint(err))
		}
	}
}
