// Package session is the protocol of clients: programs that are no members of a group
// and send to it through any of them. It is pure: a Member is one member's part in one
// group, a Window is a client's. They take what comes and return what is to go out, and
// know no socket, clock or goroutine.
//
// # One message, applied once
//
// A client numbers its messages from 1. Each goes to the group in an envelope with the
// client's identity and the number, sent by the member that the client is connected to,
// its gateway. Every member keeps, for each client, the number applied last: one number
// more is applied, less is a duplicate. That table is part of the group's state.
//
// A client that moves to another gateway sends again, with the same numbers, all that is
// not acknowledged. Two gateways may then send the same messages, but never leave a gap:
// what each sends is without gaps, and what the new one sends comes, at every member,
// after all that the old one has acknowledged. For that the new one announces the client
// (open, in total order), waits until every member has answered (here, in its FIFO
// stream, after all it sent before), and multicasts a causal message (fence) before the
// first of the client's. So whatever the client has been shown, of whichever member, is
// in the past of what it sends next. The table depends only on which envelopes were
// delivered, not on the order between gateways, so members that have delivered the same
// have the same table.
//
// # Acknowledged
//
// A message is acknowledged once no failure can lose it, as long as a majority goes on,
// whatever its level: the gateway follows what it sends by a small safe message (marker)
// and acknowledges all before it when that is delivered. One marker is on its way at a
// time, and covers all clients.
//
// # Forgotten
//
// A client that says goodbye, or has not been heard of for a time, is forgotten in two
// steps of the total order. Closing has every gateway end what it has of the client and
// answer once nothing of it is left to be sent; closed, sent when all have answered, comes
// after every message of the client everywhere, so no member can decide otherwise than
// another about any of them. A client that comes back between the two is kept. An answer
// can be lost with all else that a member could not send: the closing is then begun again.
// A client that was forgotten is told so when it comes back: it is never taken for new.
package session
