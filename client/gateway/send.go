package gateway

import (
	"bytes"
	"context"
	"io"
	"sync"

	"cohort/client/session"
	"cohort/engine"
)

// MaxPayload is the largest message or answer of a group with clients, bytes.
const MaxPayload = session.MaxPayload

// buffers hold a member's own messages while they are sent.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the largest that is kept, bytes.
const maxBuffer = 64 << 10

// tagged calls send with payload as the group's members expect it.
func tagged(payload []byte, send func(b []byte) error) error {
	p := buffers.Get().(*[]byte)
	b := append(append((*p)[:0], session.Own), payload...)
	err := send(b)
	if cap(b) <= maxBuffer {
		*p = b
		buffers.Put(p)
	}
	return err
}

// Send is engine.Group.Send.
func (g *Group) Send(ctx context.Context, l engine.Level, payload []byte) error {
	return tagged(payload, func(b []byte) error { return g.group.Send(ctx, l, b) })
}

// TrySend is engine.Group.TrySend.
func (g *Group) TrySend(l engine.Level, payload []byte) error {
	return tagged(payload, func(b []byte) error { return g.group.TrySend(l, b) })
}

// Ask is engine.Group.Ask.
func (g *Group) Ask(ctx context.Context, l engine.Level, payload []byte, want engine.Replies) (replies []engine.Reply, err error) {
	err = tagged(payload, func(b []byte) error {
		replies, err = g.group.Ask(ctx, l, b, want)
		return err
	})
	return replies, err
}

// Leave is engine.Group.Leave. Clients of the group are sent away as soon as it is left, by
// this call or, if that was cut short, later; as long as it is not, they are served.
func (g *Group) Leave(ctx context.Context) error {
	if err := g.group.Leave(ctx); err != nil {
		return err
	}
	g.end()
	return nil
}

// end lets go of a group that has been left.
func (g *Group) end() {
	g.server.remove(g)
	g.do((*session.Member).Stop)
}

// Name is the group's.
func (g *Group) Name() string { return g.name }

// Size is engine.Group.Size.
func (g *Group) Size() int { return g.group.Size() }

// Gaps counts messages of the group that were dropped because they were malformed, or
// because one before them is missing: 0, unless a member does not keep to the protocol.
func (g *Group) Gaps() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.member.Gaps()
}

// stream returns the bytes of head and then the application's snapshot.
func stream(head []byte, state engine.Stateful) (io.ReadCloser, error) {
	first := io.NopCloser(bytes.NewReader(head))
	if state == nil {
		return first, nil
	}
	rest, err := state.Snapshot()
	if rest == nil || err != nil {
		return nil, err // neither: the engine says what is wrong with that
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(first, rest), rest}, nil
}
