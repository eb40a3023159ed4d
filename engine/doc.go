// Package engine runs virtually synchronous process groups over IP multicast: it
// is what a program that uses Cohort imports.
//
// # A node, a ring, groups
//
// [Open] makes this process a member of a ring: the nodes of one cluster name on
// one network. It returns when the first view has formed, of as many nodes as
// [Config].Expect says; every member then knows the same members by the same
// ranks, oldest first.
//
//	node, err := engine.Open(ctx, engine.Config{Cluster: "shop", Interface: "eth0", Expect: 3})
//	defer node.Close()
//
// [Node.Join] makes it a member of a group, and of as many as it likes: a group
// costs a table entry. The handler gets the group's messages and its views.
//
//	orders, err := node.Join(ctx, "orders", engine.HandlerFunc(func(m *engine.Message) {
//		fmt.Printf("%d: %s\n", m.Sender, m.Payload)
//	}))
//	err = orders.Send(ctx, engine.Total, []byte("buy 100"))
//
// A sender gets its own messages too, in their place. Messages have 0 bytes to 16 MiB.
// Views of a group have their place in the total order, and what is sent after a
// view has come reaches all its members. A FIFO or causal message sent before may
// come after it.
//
// # Levels
//
// Each message says what it needs:
//
//	FIFO          fbcast   in its sender's order. One multicast; nobody waits.
//	Causal        cbcast   after all that its sender had delivered or sent before. Some bytes
//	                       more; it waits only if its past has not come yet.
//	Total         abcast   at one place in one order at every member. The data leaves at once;
//	                       an ordering record follows, in the same packet if one member sends,
//	                       one hop later if several do.
//	x.Safe()               once a majority of the view holds it and its past, so that no failure
//	                       erases what anybody delivered. One exchange of acknowledgements more.
//	                       Total.Safe() is gbcast.
//	x.SafeAll()            once every member holds it: one slow member delays it.
//
// Messages of one goroutine keep their order whatever their levels, so a message
// that waits holds back those sent after it. Causal and total order hold across
// all groups of the ring.
//
// # Handlers
//
// A handler is called by the node's one loop, one call at a time. It must not
// block: meanwhile the node receives and acknowledges nothing, and in the end the
// whole ring waits. [Queued] gives a handler that may block a goroutine and a queue
// of its own. The message and its payload are borrowed until the handler returns;
// [Message.Retain] keeps the payload. Send and Reply inside a handler never wait:
// what has no room is kept aside, up to 64 MiB. Join, Leave and Ask would wait for
// the loop itself and are refused there. Close is allowed.
//
// # Questions
//
// [Group.Ask] multicasts a question and collects replies: a number of them, a
// [Majority], or [All]. A handler answers with [Message.Reply].
//
// # Back pressure
//
// Nothing is dropped and nothing grows without bound. What is in flight is
// limited by the smallest receive buffer in the view; what a member has received
// and not delivered, by [Config].HoldLimit, past which it asks all senders to
// pause. So when a member is slow, [Group.Send] waits, until its context ends, and
// [Group.TrySend] returns ErrWouldBlock.
//
// # Errors
//
// Test them with errors.Is; the text names the value at fault. With an error from
// Send the message is delivered nowhere, also if it was large and had gone out in
// part.
//
//	ErrConfig      a value that cannot be, from Open, Join, Ask or Reply
//	ErrNoView      Open: the context ended before the view had formed; the text says who was heard
//	ErrTooLarge    more than MaxMessage bytes
//	ErrLevel       no such level
//	ErrWouldBlock  no room, and waiting was not wanted or, in a handler, not possible
//	ErrNotMember   the group has been left
//	ErrClosed      the node has been closed, also while the call waited
//
// A view stays as it has formed. When a member dies the others keep what they
// have for it, until their windows are full and Send waits.
//
// [Node.Stats] counts what happens; package metrics shows that to Prometheus.
package engine
