package client

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/client/gateway"
	"cohort/engine"
	"cohort/internal/testring"
)

// TestSlowQueuedHandlerGoesOn: a client that sends faster than the handler of a member
// takes is made to wait, and the member goes on: what its own protocol sends does not
// wait for room that only the handler can make.
func TestSlowQueuedHandlerGoesOn(t *testing.T) {
	node := testring.Open(t, 1, testring.Timeout)[0]
	gw, err := gateway.New(node, gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var applied atomic.Int64
	_, err = gw.JoinQueued(testring.Patient(t), "orders", engine.HandlerFunc(func(*engine.Message) {
		for begun := time.Now(); time.Since(begun) < 100*time.Microsecond; { // Sleep takes 1 ms at least
		}
		applied.Add(1)
	}), 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = gw.Serve(l) }) // until Close
	_, g := dial(t, func(c *Config) { c.Timeout, c.Buffer = 30*time.Second, 64<<20 }, l.Addr().String())
	defer func() { _, _, _ = gw.Close(), node.Close(), g.client.Close() }()
	payload := make([]byte, 4<<10)
	wg.Go(func() {
		for g.Send(t.Context(), engine.FIFO, payload) == nil {
		}
	})
	testring.Eventually(t, "20,000 messages are handled", func() bool { return applied.Load() > 20_000 })
}
