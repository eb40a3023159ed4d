package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cohort/client/session"
	"cohort/engine"
)

// Group is this node's membership in a group that has clients. Its methods are those of
// engine.Group. A handler must send by it, not by Message.Group.
type Group struct {
	server *Server
	name   string
	inner  engine.Handler
	state  engine.Stateful // inner, if it is stateful
	ready  chan struct{}   // closed when this member can take clients for the first time
	once   sync.Once       // closes it

	mu      sync.Mutex
	member  *session.Member
	group   *engine.Group       // nil until Join, or the first message, tells which
	unsent  []session.Output    // to be sent once there is a group, and room
	sending bool                // a goroutine sends them
	outside bool                // the next view is the first
	names   map[uint64]nameRank // of the members, by ID
}

// nameRank is how a client is told of a member.
type nameRank struct {
	name string
	rank int
}

func newGroup(s *Server, name string, h engine.Handler) *Group {
	g := &Group{server: s, name: name, inner: h, ready: make(chan struct{}), outside: true}
	g.state, _ = h.(engine.Stateful)
	g.member = session.NewMember(s.cfg.MaxClients, forgetTicks)
	return g
}

// handler is the group's handler, which stands before the application's.
type handler Group

// Deliver takes a message of a member or of a client, or one of the members' protocol.
func (h *handler) Deliver(m *engine.Message) {
	g := (*Group)(h)
	g.bind(m.Group())
	g.mu.Lock()
	body, q, ok := g.member.Deliver(m.From().ID, m.Payload)
	out := g.taken()
	g.mu.Unlock()
	g.carryOut(out)
	if !ok {
		return
	}
	m.Payload = body
	if q.Asked {
		var given atomic.Bool // the first answer counts
		m.AnswerTo(func(payload []byte) error {
			if given.Swap(true) {
				return nil
			}
			return g.answer(q, payload)
		})
	}
	g.inner.Deliver(m)
}

// answer takes an answer of the application's to a client.
func (g *Group) answer(q session.Request, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("gateway: %w: an answer of %d bytes, want at most %d", engine.ErrTooLarge, len(payload), MaxPayload)
	}
	g.do(func(m *session.Member) { m.Answer(q, payload) })
	return nil
}

// View takes who is in the group.
func (h *handler) View(v engine.GroupView) {
	g := (*Group)(h)
	self := g.server.node.Self().ID
	ids := make([]uint64, len(v.Members))
	names := make(map[uint64]nameRank, len(v.Members))
	for i, m := range v.Members {
		ids[i], names[m.ID] = m.ID, nameRank{m.Name, i}
	}
	_, in := names[self]
	g.mu.Lock()
	switch {
	case v.Blocked:
		g.member.Abort() // no view need tell that the ring goes on
	case v.Expelled || !in:
		g.member.Stop()
		g.outside = g.outside || v.Expelled
	case g.outside || v.Fresh:
		g.member.Enter(self, ids, v.Fresh)
		g.outside = false
	default:
		g.member.View(ids)
	}
	g.names = names
	out := g.taken()
	g.mu.Unlock()
	g.carryOut(out)
	v.Fresh = v.Fresh && g.state != nil
	g.inner.View(v)
}

// tableHead is the bytes before the table of clients in a snapshot: its size.
const tableHead = 8

// Snapshot is the table of clients, and the application's state if it has any.
func (h *handler) Snapshot() (io.ReadCloser, error) {
	g := (*Group)(h)
	g.mu.Lock()
	table := g.member.Snapshot()
	g.mu.Unlock()
	head := binary.LittleEndian.AppendUint64(make([]byte, 0, tableHead+len(table)), uint64(len(table)))
	return stream(append(head, table...), g.state)
}

// Restore is the inverse of Snapshot.
func (h *handler) Restore(r io.Reader) error {
	g := (*Group)(h)
	var head [tableHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.LittleEndian.Uint64(head[:])
	if most := session.MaxTable(g.server.cfg.MaxClients); size > uint64(most) {
		return fmt.Errorf("gateway: a table of clients of %d bytes, want at most %d: do all members have the same MaxClients?", size, most)
	}
	table, err := io.ReadAll(io.LimitReader(r, int64(size))) // grows as bytes come
	if err != nil {
		return err
	}
	g.do(func(m *session.Member) { err = m.Restore(table) })
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.outside = true
	g.mu.Unlock()
	if g.state == nil {
		return nil
	}
	return g.state.Restore(r)
}

// do calls the protocol, and does what it wants done.
func (g *Group) do(f func(m *session.Member)) {
	g.mu.Lock()
	f(g.member)
	out := g.taken()
	g.mu.Unlock()
	g.carryOut(out)
}

// taken tells clients what must keep its order, mu being held, and returns the rest.
func (g *Group) taken() []session.Output {
	return slices.DeleteFunc(g.member.Take(), func(o session.Output) bool {
		if o.Do != session.Acked && o.Do != session.Reply && o.Do != session.Done {
			return false
		}
		s := o.Session.Tag.(*seat)
		s.conn.take(s, &o)
		return true
	})
}

// carryOut does what the protocol wants done, in order.
func (g *Group) carryOut(out []session.Output) {
	for i := range out {
		switch o := &out[i]; o.Do {
		case session.Submit:
			g.submit(*o)
		case session.Ready:
			g.once.Do(func() { close(g.ready) })
		default:
			s := o.Session.Tag.(*seat)
			s.conn.take(s, o)
		}
	}
}

// submit sends a message of the protocol's own. It does not wait: room for it may be what
// the messages need for which this handler, in a goroutine of its own, has to return.
func (g *Group) submit(o session.Output) {
	g.mu.Lock()
	var err error
	if g.group != nil && !g.sending {
		err = g.group.TrySend(o.Level, o.Payload)
	} else {
		g.unsent = append(g.unsent, o)
	}
	if errors.Is(err, engine.ErrWouldBlock) || later(o, err) {
		g.unsent, err = append(g.unsent, o), nil
		g.sending = true
		go g.sendUnsent()
	}
	g.mu.Unlock()
	if err != nil {
		g.failed(err)
	}
}

// later tells whether what could not be sent is to be sent once there is a quorum: no view need
// tell who waits for it that it does not come.
func later(o session.Output, err error) bool { return o.Owed && errors.Is(err, engine.ErrNoQuorum) }

// tryEvery is how often that is tried.
const tryEvery = 50 * time.Millisecond

// sendUnsent sends what waits, until nothing does.
func (g *Group) sendUnsent() {
	for {
		g.mu.Lock()
		if g.sending = len(g.unsent) > 0; !g.sending {
			g.mu.Unlock()
			return
		}
		o := g.unsent[0]
		g.unsent = g.unsent[1:]
		g.mu.Unlock()
		err := g.group.Send(context.Background(), o.Level, o.Payload)
		for ; later(o, err); err = g.group.Send(context.Background(), o.Level, o.Payload) {
			time.Sleep(tryEvery)
		}
		if err != nil {
			g.failed(err)
		}
	}
}

// againAfter is when a member that cannot take clients for want of a quorum tries again.
const againAfter = time.Second

// failed is told that something could not be sent. It is not tried again, but that this
// member takes clients: those come back; see also later.
func (g *Group) failed(err error) {
	if !errors.Is(err, engine.ErrClosed) && !errors.Is(err, engine.ErrNotMember) { // they are what the program asked for
		g.server.cfg.Logger.Warn("gateway: cannot send to the group", "group", g.name, "error", err)
	}
	g.do((*session.Member).Abort)
	if errors.Is(err, engine.ErrNoQuorum) { // no view need tell that the ring goes on
		time.AfterFunc(againAfter, func() { g.do((*session.Member).Again) })
	}
}

// bind learns which group this is.
func (g *Group) bind(group *engine.Group) {
	g.mu.Lock()
	if g.group != nil {
		g.mu.Unlock()
		return
	}
	g.group = group
	held := g.unsent
	g.unsent = nil
	g.mu.Unlock()
	g.carryOut(held)
}
