package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// holder keeps the answers that it owes, for the test to give.
type holder struct{ owed chan Answer }

func newHolder() holder { return holder{make(chan Answer, 100)} }

func (h holder) Deliver(m *Message) {
	if m.Asked() {
		h.owed <- m.Answer()
	}
}

func (h holder) View(GroupView) {}

// outcome is what an Ask has come to.
type outcome struct {
	replies []Reply
	err     error
}

// asking asks on a goroutine of its own.
func asking(t *testing.T, g *Group, want Replies) chan outcome {
	done := make(chan outcome, 1)
	go func() {
		replies, err := g.Ask(patient(t), Causal, []byte("?"), want)
		done <- outcome{replies, err}
	}()
	return done
}

// told shows replies as "name: payload", "name: declined" or "name: reason", sorted.
func (o outcome) told() string {
	var list []string
	for _, r := range o.replies {
		what := string(r.Payload)
		switch {
		case r.Null && r.Reason == 0:
			what = "declined"
		case r.Null:
			what = r.Reason.String()
		}
		list = append(list, r.From.Name+": "+what)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func ringOfHolders(t *testing.T, n int) ([]*Node, []*Group, []holder) {
	nodes := byAge(openRing(t, n, nil))
	holders := make([]holder, n)
	groups := joinAll(t, nodes, "ask", func(i int) Handler {
		holders[i] = newHolder()
		return holders[i]
	})
	return nodes, groups, holders
}

func reply(t *testing.T, h holder, text string) {
	t.Helper()
	if err := (<-h.owed).Reply([]byte(text)); err != nil {
		t.Error(err)
	}
}

func decline(t *testing.T, h holder) {
	t.Helper()
	if err := (<-h.owed).Decline(); err != nil {
		t.Error(err)
	}
}

// TestNullReplies: All is complete with the members that answer and those that decline,
// leave or fail, and says which is which; what is empty is not null.
func TestNullReplies(t *testing.T) {
	nodes, groups, holders := ringOfHolders(t, 5)
	done := asking(t, groups[0], All)
	reply(t, holders[0], "")
	decline(t, holders[1])
	<-holders[2].owed
	if err := groups[2].Leave(patient(t)); err != nil {
		t.Fatal(err)
	}
	<-holders[3].owed
	die(nodes[3])
	select {
	case o := <-done:
		t.Fatalf("complete without member 4: %v, %v", o.told(), o.err)
	case <-time.After(50 * time.Millisecond):
	}
	reply(t, holders[4], "yes")
	o := <-done
	name := func(i int) string { return nodes[i].cfg.Name }
	want := []string{name(0) + ": ", name(1) + ": declined", name(2) + ": left", name(3) + ": crashed", name(4) + ": yes"}
	slices.Sort(want)
	if o.err != nil || o.told() != strings.Join(want, ", ") {
		t.Errorf("%s, %v\nwant %s", o.told(), o.err, strings.Join(want, ", "))
	}
	for _, r := range o.replies {
		if r.From.Name != name(r.Sender) {
			t.Errorf("rank %d for %s", r.Sender, r.From.Name)
		}
	}
	noneOpen(t, groups)
}

// TestNullsAreNoAnswers: a number and a Majority count what is answered, and members,
// not messages; they fail as soon as they cannot be reached.
func TestNullsAreNoAnswers(t *testing.T) {
	_, groups, holders := ringOfHolders(t, 3)
	for _, c := range []struct {
		want Replies
		say  [3]string // "": declines; two words: two replies
		told int       // replies and null replies
		err  error
	}{
		{One, [3]string{"", "", "c"}, 3, nil},
		{Majority, [3]string{"", "b", "c"}, 3, nil},
		{Majority, [3]string{"a again", "", "c"}, 3, nil},
		{Majority, [3]string{"", "", "c"}, 2, ErrNoReply},
		{3, [3]string{"", "b", "c"}, 1, ErrNoReply},
		{All, [3]string{"", "", ""}, 3, nil},
	} {
		done := asking(t, groups[0], c.want)
		for i, say := range c.say {
			a := <-holders[i].owed
			for _, word := range strings.Fields(say) {
				if err := a.Reply([]byte(word)); err != nil {
					t.Fatal(err)
				}
			}
			if say == "" {
				if err := a.Decline(); err != nil {
					t.Fatal(err)
				}
			}
			// The next one's comes after it, at the asker too.
			eventually(t, "the reply there", func() bool { return came(groups[0]) > i || came(groups[0]) < 0 })
		}
		o := <-done
		if !errors.Is(o.err, c.err) || c.err == nil && o.err != nil || len(o.replies) != c.told {
			t.Errorf("%d of %q: %s, %v; want %d and %v", c.want, c.say, o.told(), o.err, c.told, c.err)
		}
	}
	noneOpen(t, groups)
}

// came returns of how many members something has come to the open question; -1: there is none.
func came(g *Group) int {
	g.asks.mu.Lock()
	defer g.asks.mu.Unlock()
	for _, q := range g.asks.open {
		if !q.over {
			return len(q.asked) - bits.OnesCount64(q.pending)
		}
	}
	return -1
}

// TestMoreThanThereAre: nothing is sent.
func TestMoreThanThereAre(t *testing.T) {
	_, groups, holders := ringOfHolders(t, 2)
	if _, err := groups[0].Ask(patient(t), FIFO, nil, 3); !errors.Is(err, ErrNoReply) || !strings.Contains(err.Error(), "2 members") {
		t.Errorf("%v, want ErrNoReply with the group's size", err)
	}
	done := asking(t, groups[0], One)
	reply(t, holders[0], "to the second question")
	if o := <-done; o.err != nil {
		t.Error(o.err)
	}
	<-holders[1].owed
	if len(holders[1].owed) > 0 {
		t.Error("both questions were sent")
	}
}

// TestQuestionYieldsAsTheyCome, and is over when the loop is left.
func TestQuestionYieldsAsTheyCome(t *testing.T) {
	_, groups, holders := ringOfHolders(t, 3)
	turn := 2 // whose answer comes next: they are given one by one
	go reply(t, holders[turn], fmt.Sprint(turn))
	for r, err := range groups[0].Question(patient(t), Total, nil, All) {
		if err != nil || string(r.Payload) != fmt.Sprint(turn) {
			t.Fatalf("%+v, %v; want what member %d said", r, err, turn)
		}
		if turn--; turn == 0 {
			break // member 0 has not said anything
		}
		reply(t, holders[turn], fmt.Sprint(turn))
	}
	noneOpen(t, groups)
	reply(t, holders[0], "nobody hears that")
	done := asking(t, groups[0], One)
	reply(t, holders[1], "the second")
	if o := <-done; o.err != nil || string(o.replies[0].Payload) != "the second" {
		t.Errorf("%s, %v; want the answer to the second question alone", o.told(), o.err)
	}
}

// TestQuestionEnds with what ends it: the context, leaving the group or the node; what
// had come is there.
func TestQuestionEnds(t *testing.T) {
	for what, c := range map[string]struct {
		end  func(n *Node, g *Group, cancel func()) error
		want error
	}{
		"context": {func(_ *Node, _ *Group, cancel func()) error { cancel(); return nil }, context.Canceled},
		"leave":   {func(_ *Node, g *Group, _ func()) error { return g.Leave(context.Background()) }, ErrNotMember},
		"close":   {func(n *Node, _ *Group, _ func()) error { return n.Close() }, ErrClosed},
	} {
		t.Run(what, func(t *testing.T) {
			nodes, groups, holders := ringOfHolders(t, 2)
			ctx, cancel := context.WithCancel(patient(t))
			defer cancel()
			go reply(t, holders[0], "one")
			var got []Reply
			var last error
			for r, err := range groups[0].Question(ctx, Total, nil, All) {
				if last = err; err == nil {
					got = append(got, r)
					go func() {
						if err := c.end(nodes[0], groups[0], cancel); err != nil {
							t.Error(err)
						}
					}()
				}
			}
			if len(got) != 1 || !errors.Is(last, c.want) || !strings.Contains(last.Error(), "1 of 2") {
				t.Errorf("%d replies and %v, want one and %v", len(got), last, c.want)
			}
			noneOpen(t, groups)
		})
	}
}

// TestExpelledAsker: its question ends, and it can ask again when it is back.
func TestExpelledAsker(t *testing.T) {
	nodes := byAge(openRing(t, 3, func(_ int, c *Config) { c.Timeout = 300 * time.Millisecond }))
	b := newBlocker(t)
	groups := joinAll(t, nodes, "ask", func(i int) Handler {
		return HandlerFunc(func(m *Message) {
			switch {
			case string(m.Payload) == "again":
				_ = m.Reply(nil) // in a ring that goes on
			case i == 2 && string(m.Payload) == "trap":
				b.wait()
			}
		})
	})
	done := asking(t, groups[2], All)
	if err := groups[0].Send(patient(t), FIFO, []byte("trap")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a view without the one that stands still", func() bool { return len(nodes[0].View().Members) == 2 })
	b.resume()
	if o := <-done; !errors.Is(o.err, ErrExpelled) {
		t.Errorf("%v, want ErrExpelled", o.err)
	}
	eventually(t, "it is back", func() bool { return groups[2].Size() == 3 && !groups[2].away.Load() })
	replies, err := groups[2].Ask(patient(t), Total, []byte("again"), All)
	if err != nil || len(replies) != 3 {
		t.Errorf("%d replies, %v; want 3", len(replies), err)
	}
	noneOpen(t, groups)
}

// answering is a ledger that answers.
type answering struct{ *ledger }

func (a answering) Deliver(m *Message) {
	a.ledger.Deliver(m)
	if m.Asked() {
		_ = m.Reply([]byte("here")) // in a ring that goes on
	}
}

// TestAStateThatContainsTheQuestion: members that are joining, and whose donor dies
// after the question has come, never get it. Nobody waits for them.
func TestAStateThatContainsTheQuestion(t *testing.T) {
	for _, heir := range []bool{true, false} { // another has the state too
		t.Run(fmt.Sprint("heir ", heir), func(t *testing.T) {
			cluster := clusterOf(t)
			var nodes []*Node
			for _, name := range []string{"donor", "asker", "joiner 1", "joiner 2", "heir", "other"} {
				nodes = append(nodes, open(t, cluster, name, nil))
			}
			join := func(i int, h Handler) *Group {
				g, err := nodes[i].Join(patient(t), "ask", h)
				if err != nil {
					t.Error(err)
				}
				return g
			}
			donor := join(0, answering{&ledger{}})
			for range 200 {
				if err := donor.Send(patient(t), Total, make([]byte, 4<<10)); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{"asker: declined", "donor: here", "joiner 1: declined", "joiner 2: declined"}
			if heir {
				join(4, answering{&ledger{}})
				want = slices.Insert(want, 2, "heir: here")
			}
			asker := join(1, HandlerFunc(func(m *Message) { _ = m.Decline() })) // while there is a ring
			var joining sync.WaitGroup
			for i := 2; i < 4; i++ {
				joining.Go(func() { join(i, answering{&ledger{slow: 2 * time.Millisecond}}) })
			}
			for _, n := range nodes[2:4] {
				eventually(t, "the transfer has begun", func() bool { return n.Stats().StateReceived > 0 })
			}
			eventually(t, "the asker sees all", func() bool { return asker.Size() == len(want) })
			done := asking(t, asker, All)
			eventually(t, "replies of all but the joiners", func() bool { return came(asker) == len(want)-2 })
			die(nodes[0])
			o := <-done
			if o.err != nil || o.told() != strings.Join(want, ", ") {
				t.Errorf("%s, %v\nwant %s", o.told(), o.err, strings.Join(want, ", "))
			}
			joining.Wait()
		})
	}
}

// TestMalformedQuestionsAndReplies do nothing, whoever sends them.
func TestMalformedQuestionsAndReplies(t *testing.T) {
	nodes, groups, holders := ringOfHolders(t, 2)
	done := asking(t, groups[0], All)
	own := binary.LittleEndian.AppendUint64(nil, nodes[0].proc.Self().ID)
	number := func(k uint64) []byte { return binary.LittleEndian.AppendUint64(slices.Clone(own), k) }
	for _, m := range []struct {
		kind    uint8
		payload []byte
	}{
		{kindAsk, nil}, {kindAsk, own[:7]}, {kindReply, nil}, {kindReply, own}, {kindReply, number(1)[:15]},
		{kindReply, number(0)}, {kindReply, number(2)}, {kindReply, number(declined)}, {kindReply, number(1<<64 - 1)}, {kindReply, make([]byte, 16)},
	} {
		if err := groups[1].submit(patient(t), true, FIFO, m.kind, m.payload); err != nil {
			t.Fatal(err)
		}
	}
	reply(t, holders[1], "comes after those")
	reply(t, holders[0], "")
	if o := <-done; o.err != nil || len(o.replies) != 2 || len(holders[0].owed)+len(holders[1].owed) != 0 {
		t.Errorf("%s, %v; want two replies to one question", o.told(), o.err)
	}
}
