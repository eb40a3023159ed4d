package gateway

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"cohort/client/session"
	"cohort/engine"
	"cohort/internal/testring"
	"cohort/membership"
)

// TestBlockedForAWhile: no view of the group need tell that the ring goes on, and clients
// are let in all the same.
func TestBlockedForAWhile(t *testing.T) {
	ctx, node, s, g := alone(t)
	(*handler)(g).View(engine.GroupView{Group: "orders", Num: 1, Members: []membership.Member{node.Self()}, Blocked: true})
	if err := g.Send(ctx, engine.Total, nil); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	in := g.member.Hello(1, 1, false, &seat{conn: newConn(s, nil)})
	out := g.member.Take()
	g.mu.Unlock()
	if in.Ended() {
		t.Errorf("the group takes messages, but clients are refused: %v", out[0].Code)
	}
	for _, o := range out {
		if o.Do == session.Submit {
			g.submit(o)
		}
	}
}

// TestListenersThatEndAreLetGo: a program may serve one listener after the other.
func TestListenersThatEndAreLetGo(t *testing.T) {
	_, _, s, _ := alone(t)
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve of a closed listener: %v", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.listeners); n > 0 {
		t.Errorf("%d listeners are kept that have ended", n)
	}
}

// TestReadyIsSentAgain: a member that could not say that it takes clients, for want of a
// quorum, says so when there is one.
func TestReadyIsSentAgain(t *testing.T) {
	ctx, node, s, g := alone(t)
	refused := func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		in := g.member.Hello(1, 1, false, &seat{conn: newConn(s, nil)})
		g.member.Take()
		return in.Ended()
	}
	g.mu.Lock()
	g.member.Enter(node.Self().ID, []uint64{node.Self().ID}, true)
	g.member.Take() // it is not sent
	g.mu.Unlock()
	if !refused() {
		t.Fatal("a client is let in though no member has said that it is ready")
	}
	g.failed(engine.ErrNoQuorum)
	for refused() {
		if ctx.Err() != nil {
			t.Fatal("clients are refused for good")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestOwedIsSentOnceThereIsAQuorum: a member that goes on with the others after all, of which no
// view tells them, does not leave them waiting for its answers.
func TestOwedIsSentOnceThereIsAQuorum(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	var groups []*Group
	for _, n := range nodes {
		s, err := New(n, Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		g, err := s.Join(testring.Patient(t), "orders", engine.HandlerFunc(func(*engine.Message) {}))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	before := nodes[0].Self().ID
	resume := testring.Stall(t, nodes[1:]...)
	testring.Eventually(t, "blocked", func() bool {
		return errors.Is(groups[0].TrySend(engine.FIFO, nil), engine.ErrNoQuorum)
	})
	groups[0].submit(session.Output{Do: session.Submit, Level: session.FIFO, Owed: true}) // it counts as malformed
	resume()
	alone := func() bool { return nodes[0].Self().ID != before }
	testring.Eventually(t, "the ring goes on", func() bool { return groups[0].TrySend(engine.FIFO, nil) == nil })
	testring.Eventually(t, "what is owed comes", func() bool { // to one, if the ring has gone on without the other
		return groups[1].Gaps()+groups[2].Gaps() > 0 || alone()
	})
	if alone() {
		t.Skip("they have gone on without it")
	}
}

// alone is the only member of a group with clients, until the test ends.
func alone(t *testing.T) (context.Context, *engine.Node, *Server, *Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	node, err := engine.Open(ctx, engine.Config{Cluster: t.Name(), Name: "a", Interface: "lo", Expect: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	s, err := New(node, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	g, err := s.Join(ctx, "orders", engine.HandlerFunc(func(*engine.Message) {}))
	if err != nil {
		t.Fatal(err)
	}
	return ctx, node, s, g
}
