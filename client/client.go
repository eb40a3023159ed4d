package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"cohort/client/session"
	"cohort/engine"
)

// Client sends to groups through one of their members at a time. Its methods, and those
// of its groups, may be called from any goroutine.
type Client struct {
	cfg   Config
	id    uint64
	ended chan struct{} // closed when the goroutine has ended
	ctx   context.Context
	stop  context.CancelFunc
	work  chan struct{} // there is something to be written
	dead  chan struct{} // closed when why is set

	mu      sync.Mutex
	window  *session.Window
	changed chan struct{} // closed, and replaced, when the window or what follows changes
	epoch   uint64        // counts connections
	known   bool          // a member has let us in
	since   time.Time     // when a member made progress last
	closing bool
	why     error // why nothing is taken any more; read after dead
	last    error // how the last connection ended
	moves   int   // connections that let us in
}

// Dial returns a client that a member has let in. If ctx ends before, the error says
// what became of the last attempt, and wraps the context's. Others name a value of cfg
// that cannot be, and wrap engine.ErrConfig. Close must be called.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, id: newID(), ended: make(chan struct{}), work: make(chan struct{}, 1),
		dead: make(chan struct{}), window: session.NewWindow(len(cfg.Groups), cfg.Buffer), changed: make(chan struct{}),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	go c.run()
	if err := c.until(ctx, func() bool { return c.known }); err != nil {
		c.mu.Lock()
		last := c.last
		c.mu.Unlock()
		c.stop()
		<-c.ended
		if last != nil {
			err = fmt.Errorf("%w (the last attempt: %w)", err, last)
		}
		return nil, err
	}
	return c, nil
}

// newID makes up a client's identity.
func newID() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}

// Group returns one of the groups of the Config.
func (c *Client) Group(name string) (*Group, error) {
	i := slices.Index(c.cfg.Groups, name)
	if i < 0 {
		return nil, fmt.Errorf("client: %w: group %q, want one of Config.Groups: %q", engine.ErrConfig, name, c.cfg.Groups)
	}
	return &Group{client: c, name: name, index: i}, nil
}

// Sync waits until all that has been sent before is acknowledged: no failure can lose it
// then, as long as a majority of the members goes on. Errors wrap ErrClosed, ErrForgotten
// or the context's.
func (c *Client) Sync(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	c.mu.Lock()
	upto := c.window.Added()
	c.mu.Unlock()
	return c.until(ctx, func() bool { return c.window.Safe(upto) })
}

// Moves counts the members that have let this client in: 1, and one more for each
// fail-over.
func (c *Client) Moves() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moves
}

// Close ends the client. What has been sent is acknowledged before, if that takes a
// second at the most: Sync tells. Closing again does nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closing = true
	c.change()
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeDrain)
	defer cancel()
	_ = c.until(ctx, c.window.Empty) // Sync is for who wants to know
	c.ring()
	select {
	case <-c.ended:
	case <-ctx.Done():
	}
	c.fail(ErrClosed)
	c.stop()
	<-c.ended
	return nil
}

// until waits until ok, which is called with mu held.
func (c *Client) until(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		done, changed := ok(), c.changed
		c.mu.Unlock()
		if done {
			return nil
		}
		if err := c.await(ctx, changed); err != nil {
			return err
		}
	}
}

// await waits for done to be closed.
func (c *Client) await(ctx context.Context, done chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-c.dead:
		return c.why
	case <-ctx.Done():
		return fmt.Errorf("client: %w", context.Cause(ctx))
	}
}

// change wakes all who wait in until; mu is held.
func (c *Client) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// fail ends the client for everybody who uses it.
func (c *Client) fail(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = fmt.Errorf("client: %w", why)
		close(c.dead)
	}
}

// refusal says why nothing is taken any more.
func (c *Client) refusal() error {
	select {
	case <-c.dead:
		return c.why
	default:
		return fmt.Errorf("client: %w", ErrClosed)
	}
}

func (c *Client) ring() {
	select {
	case c.work <- struct{}{}:
	default:
	}
}
