package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cohort/core"
	"cohort/iomulticast"
	"cohort/membership"
	"cohort/ring"
	"cohort/slab"
)

// Node is one member of a ring. Its methods may be called from any goroutine,
// except where they say otherwise.
type Node struct {
	cfg    Config
	conn   *iomulticast.Conn
	start  time.Time // the loop's times are ns since then
	self   membership.Member
	former *membership.Former
	formed chan struct{} // closed when the view holds
	view   membership.View
	rank   int

	submits *ring.MPSC
	bell    ring.Bell
	larges  largeQueue
	backlog backlog // what handlers sent while the ring was full

	// mu is held by whoever drives the machine: the loop while it is awake, or a
	// sender that found it asleep. What follows belongs to the holder.
	mu      sync.Mutex
	machine *core.Machine
	pool    *slab.Pool
	in      input
	outbox  outbox
	sending sending
	groups  groupTable
	fence   bool // a group has changed since this node last sent; see Node.fetch
	message Message
	busy    load
	closeBy int64 // when the loop ends, or membership.Never

	loop    atomic.Uint64 // goroutine of the loop
	closing atomic.Bool
	stopped chan struct{} // closed when the loop has ended
	failure error         // why, if not by Close; read after stopped
	stats   published
	asks    askTable
}

// Open joins the ring on the configured interface. It returns when the first
// view, of cfg.Expect members, has formed; if ctx ends before, the error says
// how far it got and wraps ErrNoView and the context's. The node's goroutine and
// sockets are gone when Close returns.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := iomulticast.Open(iomulticast.Config{
		Interface: cfg.Interface, Group: cfg.Group, TTL: cfg.TTL, RecvBuffer: cfg.RecvBuffer,
		Trains: cfg.Trains, Segment: cfg.Segment, Faults: cfg.Faults,
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	n := &Node{
		cfg: cfg, conn: conn, start: time.Now(), formed: make(chan struct{}), stopped: make(chan struct{}),
		submits: ring.NewMPSC(cfg.SubmitRing), pool: slab.NewPoolOf(packetMemory), closeBy: membership.Never,
	}
	n.self = n.describe()
	n.former = membership.NewFormer(n.now(), n.self, cfg.Expect)
	n.larges.turn = make(chan struct{}, 1)
	n.message.node = n
	n.groups.init()
	n.asks.init()
	n.in.init(n.pool)
	go n.run()
	select {
	case <-n.formed:
		return n, nil
	case <-n.stopped:
		return nil, n.failure
	case <-ctx.Done():
		err := fmt.Errorf("engine: %w: %w", ErrNoView, context.Cause(ctx))
		_ = n.Close() // of a node that nobody has
		if p := n.former.Problem(); p != nil {
			err = fmt.Errorf("%w (%w)", err, p)
		}
		return nil, err
	}
}

// describe makes this node's entry in views.
func (n *Node) describe() membership.Member {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	f := n.conn.Features()
	return membership.Member{
		ID: binary.LittleEndian.Uint64(id[:]), Since: n.start.UnixNano(), Name: n.cfg.Name, Addr: n.conn.Addr(),
		RecvBuffer: uint32(budget(f)), Segment: uint16(f.Segment),
	}
}

// defaultBuffer is what is assumed where the system does not tell.
const defaultBuffer = 212_992

// budget is what a node tells the others its receive buffer holds, bytes of
// kernel memory at the charge of trains. Without GRO every packet is charged
// alone, which costs its own overhead: so less fits.
func budget(f iomulticast.Features) int {
	b := f.RecvBuffer
	if b == 0 {
		b = defaultBuffer
	}
	if !f.GRO.On {
		b = b / (f.Segment + perPacket) * f.Segment
	}
	return b
}

// perPacket is the kernel memory that a lone packet takes beside its payload, bytes.
const perPacket = 1024

// now returns the loop's time: ns since Open, monotonic.
func (n *Node) now() int64 { return int64(time.Since(n.start)) }

// View returns the ring's view: its members by rank. The slice is shared: do not
// write to it.
func (n *Node) View() membership.View { return n.view }

// Rank returns this node's rank in View.
func (n *Node) Rank() int { return n.rank }

// Features returns what the sockets can do on this machine, and why not more.
func (n *Node) Features() iomulticast.Features { return n.conn.Features() }

const (
	// closeDrain bounds how long Close waits for the others to have all that was sent.
	closeDrain = time.Second

	// closeLinger is how long a node that has nothing to wait for itself still
	// acknowledges what others sent: some of their announcements. Otherwise of two
	// that close together the second would wait for closeDrain in vain.
	closeLinger = 20 * time.Millisecond
)

// Close stops the node: it waits until all members have what was sent before, for
// a second at the most, ends the loop and closes the sockets. Senders that wait
// get ErrClosed. Queued handlers are called with what is in their queues. No handler
// runs after Close has returned, except when a handler itself calls Close: then the
// node ends once the handler returns. Closing again does nothing.
func (n *Node) Close() error {
	n.closing.Store(true)
	n.submits.Close()
	_ = n.conn.Wake() // closed already: nothing to wake
	if n.onLoop() {
		return nil
	}
	<-n.stopped
	n.groups.awaitQueues()
	return n.failure
}
