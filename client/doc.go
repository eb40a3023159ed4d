// Package client is for programs that send to a group, and ask it, without being a
// member: through any member that serves clients (package gateway), and through another
// one when that fails.
//
//	c, err := client.Dial(ctx, client.Config{Members: []string{"10.0.0.1:7000", "10.0.0.2:7000"}, Groups: []string{"orders"}})
//	orders, err := c.Group("orders")
//	err = orders.Send(ctx, engine.Total, []byte("buy 100"))
//	err = c.Sync(ctx) // now no failure can lose it
//	replies, err := orders.Ask(ctx, engine.Causal, []byte("position?"), engine.All)
//
// # What is promised
//
// Every member of the group applies each message of a client once, in the order sent,
// whatever their levels and however often the client changes its member. Causal and
// Total mean what they mean for a member: after all that the client has been shown
// (acknowledgements and replies, by any member, in the groups of its Config), and at one
// place in one order. Safe levels are delivered at every member only once a majority has
// them.
//
// A message is acknowledged once no failure can lose it as long as a majority of the
// members goes on, whatever its level; a weaker level means that members may see it
// before that. Send returns when the client has the message, as a member's Send does;
// Sync waits for the acknowledgements. Ask returns when the replies are there and the
// question is acknowledged. What is not acknowledged when the client itself ends may or
// may not be applied.
//
// A question is applied once too. If the member that asks it fails, the next one asks
// again, and members repeat what they answered. A member that came in between, or has
// had to forget, then has no answer, and counts as one that has left.
//
// # What it costs
//
// A client gets no traffic of the group. It holds what is not acknowledged in memory, up
// to Config.Buffer and session.MaxWindow messages a group; Send waits when that is full.
package client
