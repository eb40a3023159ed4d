package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/engine"
)

// sender sends and asks as a client, at all levels in turn, until it is told to stop.
type sender struct {
	name   string
	client *Client
	group  *Group
	level  func(k int) engine.Level
	sent   []string
	asked  int
}

func (s *sender) work(t *testing.T, stop *atomic.Bool) {
	ctx := patient(t)
	for k := 0; !stop.Load(); k++ {
		text := fmt.Sprint(s.name, " ", k)
		s.sent = append(s.sent, text)
		if k%20 != 19 {
			if err := s.group.Send(ctx, s.level(k), []byte(text)); err != nil {
				t.Errorf("%s: message %d: %v", s.name, k, err)
				return
			}
			continue
		}
		s.asked++
		replies, err := s.group.Ask(ctx, s.level(k), []byte(text), engine.One)
		if err != nil && len(replies) == 0 && strings.Contains(err.Error(), engine.ErrNoReply.Error()) {
			continue // who had answered has left since
		}
		if err != nil {
			t.Errorf("%s: question %d: %v", s.name, k, err)
			return
		}
		for _, r := range replies {
			if want := r.From.Name + ": " + text; string(r.Payload) != want {
				t.Errorf("%s: reply %q, want %q", s.name, r.Payload, want)
			}
		}
	}
	if err := s.client.Sync(ctx); err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
}

// TestFailOver has members fail or leave, one after another, and opens them again, while clients
// send at each level: every member applies all of it once and in order, those too that
// came in meanwhile.
func TestFailOver(t *testing.T) {
	places := openPlaces(t, 3)
	var senders []*sender
	for _, l := range levels {
		s := &sender{name: l.String(), level: func(int) engine.Level { return l }}
		s.client, s.group = dial(t, nil, addrs(places)...)
		senders = append(senders, s)
	}
	mixed := &sender{name: "mixed", level: func(k int) engine.Level { return levels[k%len(levels)] }}
	mixed.client, mixed.group = dial(t, nil, addrs(places)...)
	senders = append(senders, mixed)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for _, s := range senders {
		wg.Go(func() { s.work(t, &stop) })
	}
	for k := range 6 {
		p := places[k%3]
		time.Sleep(200 * time.Millisecond)
		if k%2 == 0 {
			p.crash()
		} else {
			p.close()
		}
		time.Sleep(50 * time.Millisecond)
		p.down = false
		p.open(3)
	}
	stop.Store(true)
	wg.Wait()
	moves := 0
	for _, s := range senders {
		moves += s.client.Moves() - 1
	}
	if moves < len(senders) {
		t.Errorf("%d clients moved %d times", len(senders), moves)
	}
	for i, p := range places {
		for _, s := range senders {
			eventually(t, "all is there", func() bool { return len(of(p.replica.list(), s.name)) >= len(s.sent) })
			if got := of(p.replica.list(), s.name); !slices.Equal(got, s.sent) {
				t.Errorf("member %d applied %d messages of %s, not the %d that were sent, in order", i, len(got), s.name, len(s.sent))
			}
		}
		if g := p.group.Gaps(); g > 0 {
			t.Errorf("member %d: %d gaps", i, g)
		}
		if a, b := of(places[0].replica.list(), "abcast"), of(p.replica.list(), "abcast"); !slices.Equal(a, b) {
			t.Errorf("members 0 and %d applied in different total orders", i)
		}
	}
	total := func(p *place) []string {
		return slices.DeleteFunc(p.replica.list(), func(s string) bool {
			return !strings.HasPrefix(s, "abcast ") && !strings.HasPrefix(s, "safe-abcast ")
		})
	}
	for i := range places {
		if !slices.Equal(total(places[0]), total(places[i])) {
			t.Errorf("members 0 and %d applied what is to be in total order differently", i)
		}
	}
	t.Logf("%d moves of %d clients; %d messages of the mixed one, %d of them questions", moves, len(senders), len(mixed.sent), mixed.asked)
}

// of returns one sender's messages.
func of(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !strings.HasPrefix(s, name+" ") })
}

// TestNoMember: Dial says what it tried.
func TestNoMember(t *testing.T) {
	places := openPlaces(t, 1)
	ctx, cancel := context.WithTimeout(patient(t), 500*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, Config{Members: addrs(places), Groups: []string{"orders", "other"}})
	if want := fmt.Sprintf("client: context deadline exceeded (the last attempt: member %s: refused: the group is not served here)", addrs(places)[0]); !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("a group that is not served: %v, want %s in one line", err, want)
	}
	for _, cfg := range []Config{
		{Groups: []string{"orders"}}, {Members: addrs(places)}, {Members: []string{"here"}, Groups: []string{"orders"}},
		{Members: addrs(places), Groups: []string{"orders", "orders"}}, {Members: addrs(places), Groups: []string{"orders"}, Timeout: time.Millisecond},
	} {
		if c, err := Dial(ctx, cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
			_ = c.Close()
		}
	}
}
