package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cohort/engine"
)

var levels = []engine.Level{
	engine.FIFO, engine.Causal, engine.Total,
	engine.FIFO.Safe(), engine.Causal.Safe(), engine.Total.Safe(),
}

// TestSend: what a client sends at any level comes to every member once, in order, among
// what members send themselves.
func TestSend(t *testing.T) {
	places := openPlaces(t, 3)
	c, g := dial(t, nil, addrs(places)...)
	var want []string
	for k := range 600 {
		want = append(want, fmt.Sprint("client ", k))
		if err := g.Send(patient(t), levels[k%len(levels)], []byte(want[k])); err != nil {
			t.Fatal(err)
		}
		if k%10 == 0 {
			if err := places[k%3].group.Send(patient(t), engine.Total, fmt.Append(nil, "member ", k)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Sync(patient(t)); err != nil {
		t.Fatal(err)
	}
	for i, p := range places {
		eventually(t, "all there", func() bool { return len(p.replica.list()) >= len(want)+60 })
		got := slices.DeleteFunc(p.replica.list(), func(s string) bool { return !strings.HasPrefix(s, "client") })
		if !slices.Equal(got, want) {
			t.Errorf("member %d was given %d messages, not the %d in order that were sent", i, len(got), len(want))
		}
	}
}

// TestAsk: a client gets the answers that a member would get.
func TestAsk(t *testing.T) {
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprint("queued ", queued), func(t *testing.T) {
			testAsk(t, openPlaces(t, 3, func(p *place) { p.queued = queued }))
		})
	}
}

func testAsk(t *testing.T, places []*place) {
	_, g := dial(t, nil, addrs(places)...)
	for i, l := range levels {
		for _, k := range []struct {
			want engine.Replies
			n    int
		}{{engine.None, 0}, {engine.One, 1}, {2, 2}, {engine.Majority, 2}, {engine.All, 3}} {
			question := fmt.Sprint("question ", i, k.want)
			replies, err := g.Ask(patient(t), l, []byte(question), k.want)
			if err != nil || len(replies) < k.n || k.want == engine.All && len(replies) != 3 {
				t.Fatalf("%v, %d wanted: %d replies, %v", l, k.want, len(replies), err)
			}
			for _, r := range replies {
				if want := r.From.Name + ": " + question; string(r.Payload) != want {
					t.Errorf("%v: reply %q, want %q", l, r.Payload, want)
				}
			}
		}
	}
	replies, err := g.Ask(patient(t), engine.FIFO, []byte("too many"), 4)
	if !errors.Is(err, engine.ErrNoReply) || len(replies) != 3 {
		t.Errorf("4 replies of 3 members: %d, %v; want 3 and ErrNoReply", len(replies), err)
	}
	members, err := places[0].group.Ask(patient(t), engine.Total, []byte("a member's"), engine.All)
	if err != nil || len(members) != 3 {
		t.Errorf("a member's question: %d replies, %v", len(members), err)
	}
}

// TestAskEndsWithItsContext: a handler that does not answer holds up its asker alone.
func TestAskEndsWithItsContext(t *testing.T) {
	places := openPlaces(t, 1)
	places[0].replica.mute = true
	c, g := dial(t, nil, addrs(places)...)
	ctx, cancel := context.WithTimeout(patient(t), 100*time.Millisecond)
	defer cancel()
	if replies, err := g.Ask(ctx, engine.FIFO, nil, engine.All); len(replies) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d replies, %v; want none and the context's error", len(replies), err)
	}
	if err := g.Send(patient(t), engine.FIFO, nil); err != nil {
		t.Error(err)
	}
	if err := c.Sync(patient(t)); err != nil {
		t.Error(err)
	}
}

// TestLargeMessages: as large as may be, there and back.
func TestLargeMessages(t *testing.T) {
	places := openPlaces(t, 2)
	_, g := dial(t, nil, addrs(places)...)
	big := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
	replies, err := g.Ask(patient(t), engine.Total, big, engine.All)
	if err != nil || len(replies) != 2 {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	for _, r := range replies {
		if !bytes.HasSuffix(r.Payload, big) {
			t.Errorf("%d bytes from %s are not the %d of the question", len(r.Payload), r.From.Name, len(big))
		}
	}
	if err := g.Send(patient(t), engine.Total, make([]byte, MaxPayload+1)); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("one byte too many: %v, want ErrTooLarge", err)
	}
}

// TestJoinRefuses: a handler that is queued already would be called on the loop.
func TestJoinRefuses(t *testing.T) {
	places := openPlaces(t, 1)
	for _, h := range []engine.Handler{nil, engine.Queued(&replica{}, 0)} {
		if _, err := places[0].gate.Join(patient(t), "other", h); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("a handler of type %T: %v, want ErrConfig", h, err)
		}
	}
}
