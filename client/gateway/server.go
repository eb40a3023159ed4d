package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"time"

	"cohort/client/session"
	"cohort/engine"
)

// Server is one node's gateway.
type Server struct {
	node *engine.Node
	cfg  Config
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu        sync.Mutex
	groups    map[string]*Group
	listeners map[net.Listener]bool
	conns     map[*conn]bool
}

// New returns a gateway for the node's groups that are joined by it. Errors name a value
// of cfg that cannot be, or say that there is no node, and wrap engine.ErrConfig.
func New(node *engine.Node, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if node == nil {
		return nil, fmt.Errorf("gateway: %w: the node is nil, want one that engine.Open returned", engine.ErrConfig)
	}
	s := &Server{
		node: node, cfg: cfg, groups: map[string]*Group{}, listeners: map[net.Listener]bool{}, conns: map[*conn]bool{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.tick()
	return s, nil
}

// Join is engine.Node.Join for a group that clients may send to; h must not be Queued:
// that is JoinQueued. If h is not Stateful, a joiner still gets what the members know of
// clients, so that it applies nothing that the others had before. Errors are those of
// engine.Node.Join, and ErrClosed.
func (s *Server) Join(ctx context.Context, name string, h engine.Handler) (*Group, error) {
	return s.join(ctx, name, h, func(h engine.Handler) engine.Handler { return h })
}

// JoinQueued is Join for a handler that may block: see engine.Queued, which size is for.
func (s *Server) JoinQueued(ctx context.Context, name string, h engine.Handler, size int) (*Group, error) {
	return s.join(ctx, name, h, func(h engine.Handler) engine.Handler { return engine.Queued(h, size) })
}

var queuedType = reflect.TypeOf(engine.Queued(engine.HandlerFunc(nil), 0))

func (s *Server) join(ctx context.Context, name string, h engine.Handler, wrap func(engine.Handler) engine.Handler) (*Group, error) {
	f, isFunc := h.(engine.HandlerFunc)
	if h == nil || isFunc && f == nil || reflect.TypeOf(h) == queuedType {
		return nil, fmt.Errorf("gateway: %w: group %q: the handler is %T, want one that is not nil nor Queued", engine.ErrConfig, name, h)
	}
	g := newGroup(s, name, h)
	group, err := s.node.Join(ctx, name, wrap((*handler)(g)))
	if err != nil {
		return nil, err
	}
	g.bind(group)
	select {
	case <-g.ready:
	case <-s.ctx.Done():
		err = ErrClosed
	case <-group.Gone():
		err = engine.ErrNotMember
	case <-s.node.Done():
		err = engine.ErrClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		if group.Leave(ctx) != nil {
			go s.undo(group)
		}
		return nil, fmt.Errorf("gateway: joining %q: %w", name, err)
	}
	s.mu.Lock()
	s.groups[name] = g
	s.mu.Unlock()
	go func() {
		select {
		case <-group.Gone(): // Leave was cut short, or the engine has given the group up
			g.end()
		case <-s.node.Done():
		}
	}()
	return g, nil
}

// undo leaves a group that nobody has, once that is possible.
func (s *Server) undo(group *engine.Group) {
	for {
		err := group.Leave(context.Background())
		if err == nil || errors.Is(err, engine.ErrNotMember) || errors.Is(err, engine.ErrClosed) {
			return
		}
		select {
		case <-time.After(againAfter):
		case <-s.node.Done():
			return
		}
	}
}

func (s *Server) remove(g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[g.name] == g {
		delete(s.groups, g.name)
	}
}

// acceptPause is waited after a failed accept, such as for want of descriptors.
const acceptPause = 10 * time.Millisecond

// Serve takes clients from l, which it closes, until Close is called: the error is then
// ErrClosed. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		return ErrClosed
	}
	s.listeners[l] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for {
		nc, err := l.Accept()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("gateway: %w", err)
		case err != nil:
			s.cfg.Logger.Warn("gateway: cannot accept", "listener", l.Addr(), "error", err)
			time.Sleep(acceptPause)
		default:
			s.admit(nc)
		}
	}
}

// admit begins a connection, if there may be one more.
func (s *Server) admit(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	ok := len(s.conns) < s.cfg.Connections && s.ctx.Err() == nil
	if ok {
		s.conns[c] = true
		s.wg.Go(c.run)
	}
	s.mu.Unlock()
	if !ok {
		c.cancel()
		_ = nc.Close()
	}
}

// Close ends all connections, and Serve. The groups stay joined; clients go on by other
// members.
func (s *Server) Close() error {
	s.mu.Lock()
	s.stop()
	for l := range s.listeners {
		_ = l.Close() // Serve tells
	}
	for c := range s.conns {
		c.cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// tick lets time pass in the groups.
func (s *Server) tick() {
	t := time.NewTicker(s.cfg.Forget / forgetTicks)
	defer t.Stop()
	for {
		select {
		case <-s.node.Done(): // not Close: the groups stay joined
			return
		case <-t.C:
		}
		s.mu.Lock()
		list := make([]*Group, 0, len(s.groups))
		for _, g := range s.groups {
			list = append(list, g)
		}
		s.mu.Unlock()
		for _, g := range list {
			g.do((*session.Member).Tick)
		}
	}
}

// find returns the groups with these names; nil if one is not served here.
func (s *Server) find(names []string) (list []*Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		g := s.groups[name]
		if g == nil {
			return nil
		}
		list = append(list, g)
	}
	return list
}
