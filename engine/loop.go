package engine

import (
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"cohort/batch"
	"cohort/engine/recorder"
	"cohort/membership"
	"cohort/slab"
	"cohort/wire"
)

// run is the node's loop: it receives, steps the machine, sends and delivers,
// until there is nothing to do, and then sleeps in the kernel. It keeps its
// thread, since a sleeping thread of its own is woken with the best tails.
func (n *Node) run() {
	runtime.LockOSThread()
	n.label("loop")
	n.loop.Store(threadID())
	err := n.conn.PrepareThread()
	if err != nil {
		n.cfg.Logger.Warn("short sleeps will be coarse", "error", err)
	}
	n.mu.Lock()
	if n.failure = n.turns(); n.failure != nil {
		n.note(recorder.Failed, 0, 0, 0, n.failure.Error())
		n.cfg.Logger.Error("the node has failed", "error", n.failure)
		n.dump(dumpFailed)
	}
	n.seat.leave() // Go keeps the main thread, should it be that
	n.shut()
	n.mu.Unlock()
	n.loop.Store(0) // the thread ends, and its number is another's some day
	close(n.stopped)
}

// shut ends everything that waits for the loop, and the sockets.
func (n *Node) shut() {
	n.closing.Store(true)
	n.presence.set(place{standing: outside, view: n.view(), rank: n.rank(), err: errClosed}) // also where no view said so
	close(n.ending)
	n.submits.Close()
	n.failSends(errClosed)
	n.groups.close()
	n.seeds.stop()
	n.offers.close()
	n.dismiss()
	if err := n.mesh.Close(); err != nil && n.failure == nil {
		n.failure = fmt.Errorf("engine: closing connections: %w", err)
	}
	n.work.Wait()
	for _, g := range n.groups.own() {
		g.endRestore()
	}
	for _, d := range n.groups.discards {
		d.r.close()
	}
	if err := n.conn.Close(); err != nil && n.failure == nil {
		n.failure = fmt.Errorf("engine: closing sockets: %w", err)
	}
	n.publish()
}

// When the loop rests: times in ns, and bytes.
const (
	napLeast   = 10_000     // how long a busy loop lets work gather, at least and
	napMost    = 100_000    // at most: see napAfter
	busyWindow = 500_000    // a loop that moved busyBytes within this is busy
	busyBytes  = 64 << 10   // sent and received
	yieldEvery = 8_000_000  // a loop that has not slept gives way to others so often; see yield
	trainWork  = 2 << 10    // for how many bytes a train counts, beside its own: 32 within the window are work enough
	fullTrain  = 64 << 10   // with so many bytes to send there is nothing to gather
	plenty     = 512 << 10  // a turn that received so many bytes is followed by the next at once
	maxSleep   = int64(1e9) // bounds a sleep, so that a mistake in a deadline heals
)

// load tells whether the loop is busy, by the bytes moved in the last window, and by the
// trains: below some 200,000 messages a second each comes in a train of its own, and from
// some 60,000 on a loop naps rather than wake for each.
type load struct {
	since       int64
	bytes, last int
}

func (l *load) add(now int64, bytes int) {
	if now-l.since > busyWindow {
		l.last = 0
		if now-l.since < 2*busyWindow {
			l.last = l.bytes
		}
		l.since, l.bytes = now, 0
	}
	l.bytes += bytes
}

func (l *load) busy() bool { return l.last >= busyBytes || l.bytes >= busyBytes }

// napAfter returns how long to let work gather after a turn that moved so many bytes: the
// more it was, the more it pays to wake less often. What a nap adds to the latency is some
// half of it, at each member.
func napAfter(bytes int) time.Duration {
	return time.Duration(min(napLeast+3*bytes/10, napMost))
}

const (
	// deliverBatch bounds the messages delivered in one turn, so that a flood of small
	// ones does not keep acknowledgements back.
	deliverBatch = 4096

	// deliverTime is what delivering in one turn should take at the most, ns: where
	// handlers are slow, turns are of fewer messages, or the others would take the node
	// for dead.
	deliverTime = int64(20e6)

	// A look at the clock comes after firstLook messages, and then after as many as have
	// been delivered, but mostLook at most: handlers may have become slow since pace last
	// learned.
	firstLook = 16
	mostLook  = 256
)

// pace is how many messages a turn may deliver.
type pace int

// learn takes what delivering count messages took, ns.
func (p *pace) learn(count int, took int64) {
	switch {
	case took > deliverTime:
		*p = pace(max(1, int64(count)*deliverTime/(2*took)))
	case count >= int(*p) && took < deliverTime/4:
		*p = min(2**p, deliverBatch)
	}
}

// turns runs the loop until the node has left its ring, or is closed otherwise.
func (n *Node) turns() error {
	for {
		now := n.now()
		n.turned(now)
		received, err := n.receive(now)
		if err != nil {
			return err
		}
		n.poll(now)
		n.seekRoster(now)
		sent, err := n.transmit(now)
		if err != nil {
			return err
		}
		limit := int(n.pace)
		delivered := n.deliverSome(now, limit)
		trains := n.stats.loop.TrainsReceived + n.stats.loop.TrainsSent
		n.busy.add(now, received+sent+trainWork*int(trains-n.trains))
		n.trains = trains
		n.sit(now)
		if n.closing.Load() && n.ended(now) {
			n.correspond()
			return nil
		}
		if n.proc.Out() {
			n.reborn(now)
			continue
		}
		if delivered < limit && received < plenty {
			if err := n.rest(now, received+sent, delivered); err != nil {
				return err
			}
		} else {
			n.publish()
		}
	}
}

// deliverSome delivers up to limit messages as they come, and as many that have been kept.
// It returns limit at least if there is more to do at once.
func (n *Node) deliverSome(now int64, limit int) int {
	begun := n.now()
	count, more := inTime(n, begun, limit, func(most int) (int, bool) {
		k := n.proc.Deliver(now, (*sink)(n), most)
		return k, k >= most
	})
	_, moreKept := inTime(n, begun, limit, func(most int) (int, bool) {
		k, read, more := n.catchUp(most)
		count += k
		return read, more
	})
	if more = more || moreKept; count > 0 {
		n.pace.learn(count, n.now()-begun)
	}
	if more {
		return max(count, limit)
	}
	return count
}

// inTime has deliver take limit messages, some at a time, until there are no more or
// deliverTime is over. It returns how many there were, and whether there are more.
func inTime(n *Node, begun int64, limit int, deliver func(most int) (count int, more bool)) (count int, more bool) {
	for {
		k, more := deliver(min(limit-count, max(firstLook, min(count, mostLook))))
		if count += k; !more || count >= limit || n.now()-begun >= deliverTime {
			return count, more
		}
	}
}

// reborn looks for a ring as a new member: the old one is out.
func (n *Node) reborn(now int64) {
	n.correspond() // the last letters of the old one
	id := newID()
	n.mesh.Identify(id)
	n.proc.Reborn(now, id)
	n.carrier.reset(int64(n.cfg.Timeout))
	n.note(recorder.Identity, id, 0, 0, "")
	n.obs.rec.Name(id, n.cfg.Name)
}

// rest sleeps until there is something to do, after a turn that moved bytes and delivered
// messages: a short nap while the loop is busy, so that work gathers, and else in the
// kernel until woken.
func (n *Node) rest(now int64, moved, delivered int) error {
	if !n.cfg.Spin && n.submits.Pending() >= fullTrain && !n.sending.stuck && n.mayFetch() {
		n.publish()
		n.yield(now)
		return nil
	}
	if err := n.takeOver(); err != nil {
		return err
	}
	n.publish()
	n.yield(now)
	switch {
	case n.cfg.Spin:
		n.mu.Unlock()
		n.mu.Lock()
		return nil
	case moved+delivered > 0 && n.busy.busy() && !n.tookLarge:
		n.stats.loop.Naps++
		nap := napAfter(moved)
		n.seat.rested(int64(nap))
		n.mu.Unlock()
		n.conn.Nap(nap)
		n.mu.Lock()
		return nil
	}
	// Who sent a large message waited for it, and is about to come with the next. A nap would
	// keep it waiting; while the loop sleeps it sends its message itself.
	n.tookLarge = false
	return n.sleep(min(n.proc.Deadline(), n.roster.Due(), n.carrier.due(), n.closeBy, now+maxSleep) - n.now())
}

// yield lets Go's scheduler go by from time to time. A goroutine that has not for 10 ms is
// taken off its processor, and Go's monitor thread, that does it, then wakes some thousand
// times a second for more to do: 3 to 5 % of a core.
func (n *Node) yield(now int64) {
	if now-n.yielded < yieldEvery {
		return
	}
	n.yielded = now
	n.mu.Unlock()
	runtime.Gosched()
	n.mu.Lock()
}

// sleep waits in the kernel for a packet, a sender or the timeout, ns.
func (n *Node) sleep(timeout int64) error {
	n.bell.Arm()
	began := n.now()
	var err error
	if n.submits.Empty() && n.backlog.empty() || n.sending.stuck || !n.mayFetch() {
		n.stats.loop.Wakeups++
		n.obs.planned = max(timeout, 0)
		n.mu.Unlock()
		err = n.conn.Wait(time.Duration(max(timeout, 0)))
		n.mu.Lock()
	}
	n.bell.Disarm()
	woke := n.now()
	n.seat.rested(min(woke-began, max(timeout, 0)))
	if woke-began >= yieldEvery { // its processor was taken meanwhile
		n.yielded = woke
	}
	return err
}

// ended tells whether a node that is being closed need wait no longer. Once all that
// was sent is on its way, what is still being copied into the ring included, it asks for
// a view without itself, and waits for that.
func (n *Node) ended(now int64) bool {
	if n.closeBy == membership.Never {
		n.closeBy = now + int64(closeDrain)
	}
	switch {
	case n.hasty.Load() || !n.proc.In() || n.proc.Blocked() || now >= n.closeBy:
		return true
	case !n.leaving && n.submits.Pending() == 0 && n.backlog.empty() && !n.sending.active:
		n.leaving = true
		n.proc.Leave(now)
	}
	return false
}

// input is where trains are received to.
type input struct {
	trains []batch.Train
	refs   []slab.Ref
	small  slab.Ref // where small trains are copied together
	used   int      // bytes of small
}

const (
	recvTrains = 16            // trains per call; 4 made no difference
	recvCalls  = 4             // calls per turn and socket, before sending has its turn
	smallTrain = slab.Size / 4 // a train up to this size does not keep a slab of its own
	smallPad   = 8             // alignment of copies
	smallMask  = ^(smallPad - 1)
)

func (in *input) init(pool *slab.Pool) {
	in.trains, in.refs = make([]batch.Train, recvTrains), make([]slab.Ref, recvTrains)
	for i := range in.refs {
		in.refs[i] = pool.Get()
	}
	in.small = pool.Get()
}

// receive takes what has come on both sockets and returns its bytes.
func (n *Node) receive(now int64) (int, error) {
	multicast, err := n.receiveFrom(now, n.conn.RecvMulticast, true)
	if err != nil {
		return 0, fmt.Errorf("engine: receiving multicast: %w", err)
	}
	unicast, err := n.receiveFrom(now, n.conn.RecvUnicast, false)
	if err != nil {
		return 0, fmt.Errorf("engine: receiving unicast: %w", err)
	}
	return multicast + unicast, nil
}

func (n *Node) receiveFrom(now int64, recv func([]batch.Train) (int, error), multicast bool) (bytes int, err error) {
	for range recvCalls {
		for i := range n.in.trains {
			n.in.trains[i].Buf = n.pool.Bytes(n.in.refs[i])
		}
		k, err := recv(n.in.trains)
		if err != nil {
			return bytes, err
		}
		n.stats.loop.RecvCalls++
		for i := range k {
			bytes += len(n.in.trains[i].Buf)
			n.take(now, i, multicast)
		}
		if k < len(n.in.trains) {
			return bytes, nil
		}
	}
	return bytes, nil
}

// take hands the packets of train i to the machine. Small trains move together
// into one slab first: packets are kept until all have them, and a slab each
// would be a thousand times their size.
func (n *Node) take(now int64, i int, multicast bool) {
	t := &n.in.trains[i]
	n.stats.loop.TrainsReceived++
	if multicast && len(t.Buf) > 0 {
		n.carrier.hearing.Multicast(now, t.From)
	}
	ref, off := n.in.refs[i], 0
	if len(t.Buf) <= smallTrain {
		if n.in.used+len(t.Buf) > slab.Size {
			n.pool.Release(n.in.small)
			n.in.small, n.in.used = n.pool.Get(), 0
		}
		ref, off = n.in.small, n.in.used
		copy(n.pool.Bytes(ref)[off:], t.Buf)
		n.in.used += (len(t.Buf) + smallPad - 1) & smallMask
	}
	n.packets(now, ref, off, len(t.Buf), t.Segment, arrival{t.From, multicast})
	if n.pool.Shared(n.in.refs[i]) {
		n.pool.Release(n.in.refs[i])
		n.in.refs[i] = n.pool.Get()
	}
}

// packets hands the packets of a train to the protocol or, if they are beacons, to
// that part of it. Where the kernel has put both into one train, the fewer are taken
// for bad ones: either is sent again.
func (n *Node) packets(now int64, ref slab.Ref, off, size, segment int, by arrival) {
	b := n.pool.Bytes(ref)[off : off+size]
	if size >= wire.Overhead && wire.Kind(b[3]) >= wire.Here {
		for ; len(b) > 0; b = b[min(segment, len(b)):] {
			n.beacon(now, b[:min(segment, len(b))], by)
		}
		return
	}
	n.proc.Train(now, ref, off, size, segment)
}

// arrival is where a packet came from, and by which socket.
type arrival struct {
	from      netip.AddrPort
	multicast bool
}
