package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"cohort/batch"
	"cohort/engine/recorder"
	"cohort/iomulticast"
	"cohort/membership"
	"cohort/slab"
)

// transmit moves messages from the senders through the protocol to the network,
// and sends what else is due. It returns the bytes of packets sent.
func (n *Node) transmit(now int64) (int, error) {
	n.submit(now)
	n.proc.Flush(now)
	n.carry(now)
	sent, err := n.outbox.send(now, n)
	if err == nil {
		err = n.announce()
	}
	n.correspond()
	return sent, err
}

// nudge is called by a sender after its message is in the ring. If the loop is
// asleep, the sender transmits it itself: the message leaves without waiting for
// a thread to wake, which costs more than a packet. Delivery is left to the loop.
func (n *Node) nudge() {
	if !n.bell.Claim() {
		return
	}
	if n.mu.TryLock() {
		if !n.closing.Load() {
			// An error here will meet the loop again, which reports it.
			_, _ = n.transmit(n.now())
		}
		n.mu.Unlock()
	}
	_ = n.conn.Wake() // closed: the loop is gone and has failed our message
}

// outbox turns the protocol's output into trains.
type outbox struct {
	trains []batch.Train
	peers  []peerAddr // of members that something was sent to alone
}

type peerAddr struct {
	id uint64
	to *batch.Addr
}

// addr returns a member's address as the sockets take it; nil if it cannot be one.
func (o *outbox) addr(m *membership.Member) *batch.Addr {
	if !addressable(m.Addr) {
		return nil
	}
	for i := range o.peers {
		if o.peers[i].id == m.ID {
			return o.peers[i].to
		}
	}
	if len(o.peers) == 2*membership.MaxMembers { // those who are gone go with the rest
		o.peers = o.peers[:0]
	}
	to := batch.MakeAddr(m.Addr)
	o.peers = append(o.peers, peerAddr{m.ID, &to})
	return &to
}

// send puts the protocol's output on the network and returns its bytes, however many
// members get them. Much of it goes by the courier, who may not be done when send returns.
func (o *outbox) send(now int64, n *Node) (bytes int, err error) {
	out := n.proc.Output()
	if len(out) == 0 {
		return 0, n.takeOver()
	}
	o.trains = o.trains[:0]
	for _, t := range out {
		train := batch.Train{Buf: t.Buf, Segment: t.Segment}
		bytes += len(t.Buf)
		if t.Member == nil {
			o.trains = n.carrier.append(now, o.trains, train)
			n.stats.loop.TrainsCopied += uint64(len(n.carrier.copies))
		} else if train.To = o.addr(t.Member); train.To != nil {
			o.trains = append(o.trains, train)
		}
	}
	n.stats.loop.TrainsSent += uint64(len(o.trains))
	if bytes >= forCourier && n.courier.may && n.pace == deliverBatch { // slow handlers may take its processor too
		if err = n.takeOver(); err != nil {
			n.proc.Recycle()
			return bytes, err
		}
		n.entrust(n.proc.Detach(n.courier.refs))
		return bytes, nil
	}
	err = n.put(o.trains)
	n.proc.Recycle()
	return bytes, err
}

// put sends trains, after those that the courier has.
func (n *Node) put(trains []batch.Train) error {
	if err := n.takeOver(); err != nil {
		return err
	}
	n.courier.mu.Lock()
	err := n.courier.put(trains)
	n.courier.mu.Unlock()
	n.account()
	return err
}

// entrust gives the trains in the outbox to the courier, who has none, and their memory.
func (n *Node) entrust(refs []slab.Ref) {
	c := &n.courier
	c.refs = refs
	if c.called == nil {
		c.called = make(chan struct{}, 1)
		n.work.Go(func() {
			n.label("courier")
			for range c.called {
				for c.some() {
				}
			}
		})
	}
	c.mu.Lock()
	c.trains, n.outbox.trains, c.next = n.outbox.trains, c.trains, 0
	c.mu.Unlock()
	select {
	case c.called <- struct{}{}:
	default: // it has not heard the last call yet
	}
}

// takeOver has what the courier still has sent, by whoever is here: it may have no
// processor to run on.
func (n *Node) takeOver() error {
	c := &n.courier
	if len(c.refs) == 0 {
		return nil
	}
	for c.some() {
	}
	for _, ref := range c.refs {
		n.pool.Release(ref)
	}
	c.refs = c.refs[:0]
	n.account()
	err := c.err
	c.err = nil
	return err
}

// dismiss ends the courier, once all has gone.
func (n *Node) dismiss() {
	if err := n.takeOver(); err != nil && n.failure == nil {
		n.failure = err
	}
	if n.courier.called != nil {
		close(n.courier.called)
	}
}

// account takes over what has been counted while sending.
func (n *Node) account() {
	c := &n.courier
	n.stats.loop.SendCalls += c.calls
	for ; c.failed > 0; c.failed-- {
		n.stats.loop.SendErrors++
		n.sendTrouble(c.trouble)
	}
	c.calls = 0
}

// sendTrouble logs the first of a run of errors: a cut link would fill the disk.
func (n *Node) sendTrouble(err error) {
	if n.stats.loop.SendErrors&(n.stats.loop.SendErrors-1) == 0 {
		n.note(recorder.SendError, 0, n.stats.loop.SendErrors, 0, err.Error())
		n.cfg.Logger.Warn("packets could not be sent", "error", err, "times", n.stats.loop.SendErrors)
	}
}

const (
	// forCourier is how many bytes of a turn are worth the courier's being woken.
	forCourier = 128 << 10

	// courierTrains is how many trains go by one call of the courier's: between two the loop
	// may take over.
	courierTrains = 8

	// sendWait bounds how long a full send buffer is waited for at a time.
	sendWait = 10 * time.Millisecond
)

// courier sends what a turn has packed while the loop goes on: delivering, and packing
// the next. At full load a loop that does all of it is the bottleneck, while a part of
// the cores has nothing to do. Where the program leaves it no processor, the loop takes
// over what is not sent yet, as soon as its handlers have returned.
type courier struct {
	may    bool       // there is more than one processor
	refs   []slab.Ref // the memory of trains; the driver's, who gives it back when they have gone
	conn   *iomulticast.Conn
	called chan struct{} // nil: it has not been needed yet

	mu     sync.Mutex // held while something is sent, so that all leaves in order
	trains []batch.Train
	next   int   // of trains, the next to go
	err    error // that no later try can mend
	tally
}

// tally is what sending has come to since the driver last looked.
type tally struct {
	calls, failed uint64
	trouble       error // why something failed last
}

func (c *courier) init(conn *iomulticast.Conn) {
	c.conn, c.may = conn, runtime.GOMAXPROCS(0) > 1
}

// some sends the next trains of those that the courier has, and tells whether there are more.
func (c *courier) some() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := min(c.next+courierTrains, len(c.trains))
	if err := c.put(c.trains[c.next:end]); err != nil {
		c.err = err
	}
	c.next = end
	return end < len(c.trains)
}

// put sends trains, waiting where the send buffer is full. What the network does
// not take for reasons that may pass counts as lost: repair is for that.
func (c *courier) put(trains []batch.Train) error {
	for len(trains) > 0 {
		k, err := c.conn.Send(trains)
		c.calls++
		trains = trains[k:]
		switch {
		case err == nil:
		case errors.Is(err, batch.ErrAgain):
			if err := c.conn.WaitWritable(sendWait); err != nil {
				return fmt.Errorf("engine: sending: %w", err)
			}
		case errors.Is(err, batch.ErrTrain):
			return fmt.Errorf("engine: sending: %w", err)
		default:
			c.failed++
			c.trouble = err
			if len(trains) > 0 {
				trains = trains[1:]
			}
		}
	}
	return nil
}
