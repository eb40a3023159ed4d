package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"cohort/batch"
	"cohort/control"
	"cohort/core"
	"cohort/engine/recorder"
	"cohort/flowctl"
	"cohort/groups"
	"cohort/iomulticast"
	"cohort/membership"
	"cohort/process"
	"cohort/ring"
	"cohort/site"
	"cohort/slab"
)

// Node is one member of a ring. Its methods may be called from any goroutine,
// except where they say otherwise.
type Node struct {
	cfg   Config
	conn  *iomulticast.Conn
	mesh  *control.Mesh
	start time.Time // the loop's times are ns since then

	formed   chan struct{} // closed when the node is in a view for the first time
	presence presence
	submits  *ring.MPSC
	bell     ring.Bell
	larges   largeQueue
	parting  chan struct{} // held while a Leave is put into the ring
	backlog  backlog       // what handlers sent while the ring was full

	// mu is held by whoever drives the protocol: the loop while it is awake, or a
	// sender that found it asleep. What follows belongs to the holder.
	mu      sync.Mutex
	proc    *process.Process
	pool    *slab.Pool
	in      input
	outbox  outbox
	courier courier
	seat    seat
	carrier carrier
	sending sending
	groups  groupTable
	roster  *groups.Roster[*Group]
	fence   bool // a group has changed since this node last sent; see Node.fetch
	message Message
	recent  *groups.Group[*Group] // that the last message was for; nil where groups may have changed since
	busy    load
	pace    pace
	trains  uint64 // sent and received up to the last turn
	yielded int64  // when the loop last gave way, ns

	tookLarge bool // a message whose sender waited for it, since the loop last rested

	letters []control.Event
	trouble error // why a connection ended last
	callers callers
	relayed []batch.Train // beacons to be passed on
	leaving bool
	closeBy int64 // when the loop ends, or membership.Never

	questions atomic.Uint64 // asked so far: the number of the last one

	loop    atomic.Uint64 // thread of the loop
	closing atomic.Bool
	hasty   atomic.Bool   // it ends without waiting for anything
	ending  chan struct{} // closed when the loop does nothing more for anybody: it may have to wait for who waits for it
	stopped chan struct{} // closed when the loop has ended
	failure error         // why, if not by Close; read after stopped
	stats   published
	obs     observer
	dumps   dumps
	offers  offers
	results results
	reaches chan struct{} // one for each donor that is being connected to
	seeds   seeds
	work    sync.WaitGroup // goroutines that restore states, or write the recorder
}

// Open finds the others on the configured interface and joins their ring or, if
// there is none, forms it with them: see Config.Expect. It returns when this node
// is in a view. If ctx ends before, the error says how far it got and wraps
// ErrNoView and the context's. The node's goroutines and sockets are gone when
// Close returns.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, start: time.Now(), formed: make(chan struct{}), ending: make(chan struct{}), stopped: make(chan struct{}), pace: deliverBatch,
		submits: ring.NewMPSC(cfg.SubmitRing), pool: slab.NewPoolOf(packetMemory), closeBy: membership.Never,
	}
	if err := n.openSockets(); err != nil {
		return nil, err
	}
	n.observeStart()
	n.larges.turn, n.parting = make(chan struct{}, 1), make(chan struct{}, 1)
	n.reaches = make(chan struct{}, maxReaches)
	n.message.node = n
	n.roster = groups.NewRoster[*Group]()
	n.groups.init()
	n.offers.init()
	n.presence.init()
	n.in.init(n.pool)
	n.carrier.init(cfg)
	n.courier.init(n.conn)
	self := n.describe()
	n.mesh.Identify(self.ID)
	n.proc = process.New(n.now(), n.protocol(), self, n.pool)
	n.note(recorder.Identity, self.ID, 0, 0, "")
	n.obs.rec.Name(self.ID, self.Name)
	resolver := pprof.Labels(NodeLabel, cfg.Name, control.RoleLabel, "seeds")
	pprof.Do(context.Background(), resolver, func(context.Context) { n.seeds.start(cfg.Seeds, cfg.Logger) })
	go n.run()
	select {
	case <-n.formed:
		return n, nil
	case <-n.stopped:
		return nil, n.failure
	case <-ctx.Done():
		err := fmt.Errorf("engine: %w: %w", ErrNoView, context.Cause(ctx))
		_ = n.Close() // of a node that nobody has
		if p := n.proc.Problem(); p != nil {
			err = fmt.Errorf("%w (%w)", err, p)
		}
		if n.trouble != nil {
			err = fmt.Errorf("%w (%w)", err, n.trouble)
		}
		return nil, err
	}
}

func (n *Node) openSockets() (err error) {
	c := n.cfg
	readers := pprof.Labels(NodeLabel, c.Name, control.RoleLabel, "socket") // of the portable path
	pprof.Do(context.Background(), readers, func(context.Context) {
		n.conn, err = iomulticast.Open(iomulticast.Config{
			Interface: c.Interface, Group: c.Group, Port: c.Port, TTL: c.TTL, RecvBuffer: c.RecvBuffer,
			Trains: c.Trains, Segment: c.Segment, Faults: c.Faults,
		})
	})
	switch {
	case errors.Is(err, iomulticast.ErrInterface), errors.Is(err, iomulticast.ErrGroup), errors.Is(err, iomulticast.ErrOption):
		return fmt.Errorf("engine: %w: %w", ErrConfig, err)
	case err != nil:
		return fmt.Errorf("engine: %w", err)
	}
	n.mesh, err = control.Open(control.Config{
		Listen: netip.AddrPortFrom(n.conn.Addr().Addr(), uint16(c.Port)), Cluster: c.clusterID(), TLS: c.TLS,
		Wake:   func() { _ = n.conn.Wake() }, // closed: nobody to wake
		Stream: n.giveState, Logger: c.Logger, Labels: n.labels(),
	})
	if err != nil {
		_ = n.conn.Close()
		return fmt.Errorf("engine: %w", err)
	}
	return nil
}

// protocol is what the protocol needs to know of the configuration.
func (n *Node) protocol() process.Config {
	c := n.cfg
	return process.Config{
		Site: site.Config{
			Core:  core.Config{Cluster: c.clusterID(), HoldLimit: c.HoldLimit},
			Rules: membership.Rules{Timeout: int64(c.Timeout), Lone: c.Lone},
			Slow:  int64(c.SlowLimit),
		},
		Expect: c.Expect, Discovery: int64(c.Discovery),
	}
}

// describe makes this node's entry in views.
func (n *Node) describe() membership.Member {
	f := n.conn.Features()
	return membership.Member{
		ID: newID(), Since: n.start.UnixNano(), Name: n.cfg.Name, Addr: n.conn.Addr(), Control: n.mesh.Addr(),
		RecvBuffer: uint32(budget(f)), Segment: uint16(f.Segment),
	}
}

// newID makes up the identity of an incarnation.
func newID() uint64 {
	var id [8]byte
	_, _ = rand.Read(id[:])                          // never fails
	return max(binary.LittleEndian.Uint64(id[:]), 1) // 0 is nobody
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
		b = min(b, int(int64(b)*int64(flowctl.Charge(f.Segment, false))/int64(flowctl.Charge(f.Segment, true))))
	}
	return b
}

// now returns the loop's time: ns since Open, monotonic.
func (n *Node) now() int64 { return int64(time.Since(n.start)) }

// View returns the ring's view: its members by rank. Once this node is out of the
// ring it is the last one that it was in. The slice is shared: do not write to it.
func (n *Node) View() membership.View { return n.presence.now().view }

// Done returns a channel that is closed when the node has ended: after Close, or because
// it has failed.
func (n *Node) Done() <-chan struct{} { return n.stopped }

// Rank returns this node's rank in View.
func (n *Node) Rank() int { return n.presence.now().rank }

// Self returns this node as a member of View. Its ID is another one when the node has
// joined the ring again after an expulsion.
func (n *Node) Self() membership.Member {
	p := n.presence.now()
	return p.view.Members[p.rank]
}

// Features returns what the sockets can do on this machine, and why not more; and
// whether multicast reaches the members.
func (n *Node) Features() iomulticast.Features {
	f := n.conn.Features()
	f.Multicast = *n.carrier.feature.Load()
	return f
}

// AwaitMembers waits until the ring's view has at least count members. Errors wrap
// ErrClosed or the context's; inside a handler, without which no view can come, ErrWouldBlock
// if there are fewer.
func (n *Node) AwaitMembers(ctx context.Context, count int) error {
	if ctx == nil {
		return errNoContext
	}
	for {
		p := n.presence.now()
		if p.standing == inView && len(p.view.Members) >= count {
			return nil
		}
		if n.onLoop() {
			return fmt.Errorf("engine: %w: %d of %d members, and AwaitMembers inside a handler waits for the handler to return: call it on another goroutine",
				ErrWouldBlock, len(p.view.Members), count)
		}
		if err := n.await(ctx, p.over); err != nil {
			return fmt.Errorf("%d of %d members: %w", len(p.view.Members), count, err)
		}
	}
}

const (
	// closeDrain bounds how long Close waits for the others to have all that was
	// sent, and for the view without this node.
	closeDrain = time.Second

	// maxCallers bounds the processes that beacons are sent to one by one.
	maxCallers = 64
)

// Close leaves the ring and stops the node: what was sent before is delivered,
// then comes the view without this node, at itself too, but for handlers in Restore. It
// waits for that for a second at the most, ends the loop and closes the sockets. Senders
// that wait get ErrClosed. Queued handlers are called with what is in their queues. No handler
// runs after Close has returned, except when a handler itself calls Close: then the
// node ends once the handler returns. Closing again does nothing.
func (n *Node) Close() error {
	n.closing.Store(true)
	n.submits.Close()
	_ = n.conn.Wake() // closed already: nothing to wake
	if n.onLoop() || n.groups.onTransfer() {
		return nil
	}
	<-n.stopped
	n.groups.awaitQueues()
	return n.failure
}

// Abandon closes the node without a word to the others, as a crash of the process would:
// for tests of what a program does when a member fails. Its queued handlers are called
// with what is in their queues, as by Close; it may be called inside a handler, as Close.
func (n *Node) Abandon() error {
	n.hasty.Store(true)
	return n.Close()
}

// callers is who looks for a ring and may not hear multicast, by address: what this node
// has to say of itself is sent to them too.
type callers struct {
	list []caller
}

type caller struct {
	addr  netip.AddrPort
	to    batch.Addr
	until int64
}

// callFor is how long a caller is answered, ns.
const callFor = int64(3 * time.Second)

func (c *callers) add(now int64, addr netip.AddrPort) {
	if !addressable(addr) {
		return
	}
	kept := c.list[:0]
	for _, k := range c.list {
		if k.until > now && k.addr != addr {
			kept = append(kept, k)
		}
	}
	if c.list = kept; len(kept) < maxCallers {
		c.list = append(kept, caller{addr, batch.MakeAddr(addr), now + callFor})
	}
}
