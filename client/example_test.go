package client_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"time"

	"cohort/client"
	"cohort/client/gateway"
	"cohort/engine"
)

// A program that is no member of the group sends to it and asks it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	// A member: of a group whose members all join it so, and some take clients.
	quiet := slog.New(slog.DiscardHandler)
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-client", os.Getpid()), Interface: "lo", Logger: quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	gw, err := gateway.New(node, gateway.Config{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	stock := 0
	_, err = gw.Join(ctx, "orders", engine.HandlerFunc(func(m *engine.Message) {
		if m.Asked() {
			if err := m.Reply(fmt.Append(nil, stock)); err != nil {
				log.Print(err)
			}
			return
		}
		var k int
		if _, err := fmt.Sscanf(string(m.Payload), "buy %d", &k); err == nil {
			stock += k
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = gw.Serve(listener) }() // until Close

	// A client; Members would be the addresses of all that take clients.
	c, err := client.Dial(ctx, client.Config{Members: []string{listener.Addr().String()}, Groups: []string{"orders"}, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := c.Group("orders")
	if err != nil {
		log.Fatal(err)
	}
	for range 10 {
		if err := orders.Send(ctx, engine.Total, []byte("buy 100")); err != nil {
			log.Fatal(err)
		}
	}
	if err := c.Sync(ctx); err != nil { // no failure can lose them now
		log.Fatal(err)
	}
	replies, err := orders.Ask(ctx, engine.Causal, []byte("position?"), engine.All)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range replies {
		fmt.Printf("%s\n", r.Payload)
	}
	for _, end := range []func() error{c.Close, gw.Close, node.Close} {
		if err := end(); err != nil {
			log.Print(err)
		}
	}
	// Output: 1000
}
