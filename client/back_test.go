package client

import (
	"net"
	"testing"

	"cohort/client/gateway"
	"cohort/engine"
	"cohort/internal/testring"
)

// TestMemberThatIsBackTakesClients: a member that the ring had gone on without serves clients
// again once it is back.
func TestMemberThatIsBackTakesClients(t *testing.T) {
	nodes := testring.Open(t, 3, testring.Timeout)
	var last *gateway.Server
	for _, n := range nodes {
		gw, err := gateway.New(n, gateway.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gw.Join(testring.Patient(t), "orders", &replica{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = gw.Close() })
		last = gw
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { _ = last.Serve(l); close(served) }() // until Close
	t.Cleanup(func() { _ = last.Close(); <-served })
	out := testring.Stall(t, nodes[2])
	testring.Eventually(t, "the others go on", func() bool { return len(nodes[0].View().Members) == 2 })
	out()
	if err := nodes[0].AwaitMembers(testring.Patient(t), 3); err != nil {
		t.Fatal(err)
	}
	_, g := dial(t, nil, l.Addr().String())
	if err := g.Send(testring.Patient(t), engine.Total, []byte("back")); err != nil {
		t.Error(err)
	}
}
