// Package gateway lets programs that are no members of a group send to it and ask it,
// through any member: package client is their side, package session the protocol.
//
//	gw, err := gateway.New(node, gateway.Config{})
//	orders, err := gw.Join(ctx, "orders", handler) // by all members of the group
//	err = gw.Serve(listener)                       // by those that take clients
//
// All members of such a group join it with Server.Join, and send by what that returns:
// every message of the group carries a byte or an envelope more. The handler gets the
// messages of members and of clients alike, each once: a client's with the gateway as
// its sender. Answers to a client's question go to the client.
//
// The data that clients send is as open as the ring's. Give Serve a listener of
// crypto/tls, with client certificates, where not everybody may send.
package gateway
