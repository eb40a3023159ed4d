// Package engine runs virtually synchronous process groups over IP multicast: it
// is what a program that uses Cohort imports.
//
// # A node, a ring, groups
//
// [Open] makes this process a member of a ring: the nodes of one cluster name on
// one network. It finds the others by multicast and joins them or, if there is no
// ring, forms one with them, once a majority of [Config].Expect is there. All members know
// the same members by the same ranks, oldest first; [Node.View] is who they are now.
//
//	node, err := engine.Open(ctx, engine.Config{Cluster: "shop", Interface: "eth0", Expect: 3})
//	defer node.Close()
//
// [Node.Join] makes it a member of a group, and of as many as it likes: a group
// costs a table entry. The handler gets the group's messages and its views.
//
//	orders, err := node.Join(ctx, "orders", engine.HandlerFunc(func(m *engine.Message) {
//		fmt.Printf("%s: %s\n", m.From().Name, m.Payload)
//	}))
//	err = orders.Send(ctx, engine.Total, []byte("buy 100"))
//
// [Node.JoinAll] joins thousands at once, and [Node.LeaveAll] leaves them. A sender gets its own messages too, in their place. Messages have 0 bytes to 16 MiB.
//
// # Views
//
// Nodes join, leave and fail at any time. Each change is a [GroupView], handed to the
// handler between messages: who is in the group from here on, who joined, who left or
// failed, and why. Its members are by age in the group: the first is the natural
// coordinator, and stays it until it goes. All who go from one view of the ring to the
// next have delivered the same messages in between; and what one of them delivered of a
// safe message, all of them did, even if it failed at once.
//
// Views of a group that follow from a join or a leave have their place in the total
// order, and what is sent after such a view has come reaches all its members. A FIFO
// or causal message sent before may come after it.
//
// A [Stateful] handler has a state that those who join get first: exactly that of their
// first view, while the others go on.
//
// Only a majority of the last view goes on (of two, the older). Who is left in a minority is told by a view that is Blocked, and
// Send returns ErrNoQuorum. A node that the ring has gone on without (it was cut off, or
// stood still for longer than [Config].Timeout) learns that by a view that says Expelled,
// and joins again by itself, as a new member. See docs/PROTOCOL.md for all of it.
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
// # Networks without multicast
//
// A member that does not hear another's multicast tells it so, and is sent copies by
// unicast from then on, in time before it would be taken for dead. That is [Config].Transport
// [Auto], the default; [Fanout] sends by unicast alone, [Multicast] never. [Config].Seeds is
// where to find others then: the address of any one member is enough, and a DNS name may
// stand for many. [Node.Features] and the log say whom multicast does not reach.
//
// # Handlers
//
// A handler is called by the node's one loop, one call at a time. It must not
// block: meanwhile the node receives and acknowledges nothing, the ring waits, and
// after [Config].Timeout goes on without it. [Queued] gives a handler that may block a goroutine and a queue
// of its own. The message and its payload are borrowed until the handler returns;
// [Message.Retain] keeps the payload. Send, Reply and Decline inside a handler never wait:
// what has no room is kept aside, up to 64 MiB. Join, Leave, Ask and AwaitMembers would wait
// for the loop itself and are refused there. Close is allowed.
//
// # Questions
//
// [Group.Ask] multicasts a question and collects replies: a number of them, a
// [Majority], or [All]; [Group.Question] hands them over as they come. A handler answers with
// [Message.Reply] or, after it has returned, through [Message.Answer]. Nobody is waited for who
// has failed or left, or says with [Message.Decline] that it will not answer: of each of those
// comes a null reply, with the reason.
//
// # Back pressure
//
// Nothing is dropped and nothing grows without bound. What is in flight is
// limited by the smallest receive buffer in the view; what a member has received
// and not delivered, by [Config].HoldLimit, past which it asks all senders to
// pause. So when a member is slow, [Group.Send] waits, until its context ends, and
// [Group.TrySend] returns ErrWouldBlock. One that makes the others wait for longer than
// [Config].SlowLimit is expelled.
//
// # Errors
//
// Test them with errors.Is; the text names the value at fault. With an error from
// Send the message is delivered nowhere, also if it was large and had gone out in
// part.
//
//	ErrConfig      a value that cannot be, from Open, Join, Ask or Reply
//	ErrNoView      Open: the context ended before this node was in a view; the text says why, as far as it is known
//	ErrNoQuorum    too few members of the view are left: nothing can be sent until that changes
//	ErrExpelled    the ring has gone on without this node, which is looking for it
//	ErrState       Join: no member could give the group's state
//	ErrNoReply     Ask, Question: too few members are left to answer
//	ErrTooLarge    more than MaxMessage bytes
//	ErrLevel       no such level
//	ErrWouldBlock  no room, and waiting was not wanted or, in a handler, not possible
//	ErrNotMember   the group has been left
//	ErrClosed      the node has been closed, also while the call waited
//
// # Looking inside
//
// [Node.Stats] and [Node.GroupStats] count what happens; package metrics shows that to
// Prometheus. [Config].Logger is told of every event that an operator wants to know of.
// A flight recorder keeps the protocol's last events: [Config].Recorder names a folder
// for it to be written to when things go wrong, [Node.DumpRecorder] writes it at any
// time, and "vsbench replay" reads it. docs/OPERATIONS.md has all of it.
package engine
