package vote

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit"
)

// TestMain fails the package if a goroutine outlives its node.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, timeout time.Duration, rule Rule, voter func(i int) Voter) ([]*engine.Node, []*Box) {
	t.Helper()
	nodes := testring.Open(t, 3, timeout)
	boxes := make([]*Box, len(nodes))
	for i, n := range nodes {
		b, err := Join(testring.Patient(t), n, "vote", rule, voter(i))
		if err != nil {
			t.Fatal(err)
		}
		boxes[i] = b
	}
	testring.Eventually(t, "the youngest is known to all", func() bool {
		return boxes[0].Group().Size() == 3 && boxes[1].Group().Size() == 3
	})
	return nodes, boxes
}

// TestMajority: members vote on several proposals at once and have the same outcomes.
func TestMajority(t *testing.T) {
	_, boxes := open(t, time.Minute, Majority, func(i int) Voter {
		return func(_ context.Context, key string, proposal []byte) bool { return int(proposal[0]) > i }
	})
	for _, p := range []struct {
		key string
		yes byte // how many vote for it
	}{{"none", 0}, {"one", 1}, {"two", 2}, {"three", 3}} {
		go func() {
			if _, err := boxes[p.yes%3].Propose(testring.Patient(t), p.key, []byte{p.yes}); err != nil {
				t.Error(err)
			}
		}()
		var first Outcome
		for i, b := range boxes {
			o, err := b.Await(testring.Patient(t), p.key)
			if i == 0 {
				first = o
			}
			if err != nil || o.Accepted != (p.yes >= 2) || o.Members != 3 || o.tally() != first.tally() || o.Proposal[0] != p.yes {
				t.Errorf("%s at %d: %+v, %v; at 0 it is %+v", p.key, i, o, err, first)
			}
		}
	}
	again, err := boxes[1].Propose(testring.Patient(t), "three", []byte{0})
	if err != nil || !again.Accepted || again.Proposal[0] != 3 {
		t.Errorf("proposed again: %+v, %v; want the outcome of the first", again, err)
	}
	if _, err := boxes[0].Propose(testring.Patient(t), strings.Repeat("k", 70000), nil); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("a key of 70000 bytes: %v", err)
	}
}

// TestKnownIsNotSent: who proposes what is decided is told the outcome, and sends nothing.
func TestKnownIsNotSent(t *testing.T) {
	_, boxes := open(t, time.Minute, Majority, func(int) Voter {
		return func(context.Context, string, []byte) bool { return true }
	})
	if _, err := boxes[0].Propose(testring.Patient(t), "k", []byte("first")); err != nil {
		t.Fatal(err)
	}
	tooLarge := make([]byte, engine.MaxMessage+1)
	if o, err := boxes[0].Propose(testring.Patient(t), "k", tooLarge); err != nil || string(o.Proposal) != "first" {
		t.Errorf("%v, %v; want the outcome of the first", o.tally(), err)
	}
}

// TestNullVotes: who fails or leaves before its vote does not hold the others up.
func TestNullVotes(t *testing.T) {
	for name, fails := range map[string]bool{"leaves": false, "fails": true} {
		t.Run(name, func(t *testing.T) {
			asked, ended := make(chan struct{}), make(chan struct{})
			nodes, boxes := open(t, 300*time.Millisecond, All, func(i int) Voter {
				return func(ctx context.Context, _ string, _ []byte) bool {
					if i == 2 {
						close(asked)
						<-ctx.Done()
						close(ended)
					}
					return true
				}
			})
			outcome := make(chan Outcome, 1)
			go func() {
				o, err := boxes[0].Propose(testring.Patient(t), "k", nil)
				if err != nil {
					t.Error(err)
				}
				outcome <- o
			}()
			<-asked
			resume := func() {}
			if fails {
				resume = testring.Stall(t, nodes[2])
			} else if err := boxes[2].Leave(testring.Patient(t)); err != nil {
				t.Fatal(err)
			}
			if o := <-outcome; o.Accepted || o.Null != 1 || o.Members != 3 {
				t.Errorf("%+v, want a null vote that refuses", o)
			}
			resume()
			<-ended
		})
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name              string
		rule              Rule
		yes, no, null, of int
		decided, accepted bool
	}{
		{"majority", Majority, 2, 0, 0, 4, false, false},
		{"majority", Majority, 3, 0, 0, 4, true, true},
		{"majority", Majority, 1, 1, 1, 4, true, false},
		{"all", All, 3, 0, 0, 4, false, false},
		{"all", All, 4, 0, 0, 4, true, true},
		{"all", All, 0, 0, 1, 4, true, false},
		{"at least 1", AtLeast(1), 1, 3, 0, 4, true, true},
		{"at least 5", AtLeast(5), 0, 0, 0, 4, true, false},
	} {
		if decided, accepted := c.rule(c.yes, c.no, c.null, c.of); decided != c.decided || accepted != c.accepted {
			t.Errorf("%s of %d yes, %d no, %d null of %d: %v %v", c.name, c.yes, c.no, c.null, c.of, decided, accepted)
		}
	}
}

func FuzzDeliver(f *testing.F) {
	f.Add([]byte{tagProposal, 1, 0, 'k', 'p'})
	f.Add([]byte{tagVote, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{tagCount})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMachine(Majority)
		m.takeProposal("before", nil)
		m.Deliver(message(b), nil)
		r, err := m.Snapshot()
		if err == nil {
			err = newMachine(Majority).Restore(r)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func message(b []byte) toolkit.Message { return toolkit.Message{From: 1, Payload: b} }
