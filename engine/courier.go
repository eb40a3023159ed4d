package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"cohort/batch"
	"cohort/iomulticast"
	"cohort/slab"
)

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
// the next. At full load a loop that does all of it may be the bottleneck, while a part of
// the cores has nothing to do; whether it is, trial finds out. Where the program leaves it
// no processor, the loop takes over what is not sent yet, as soon as its handlers have
// returned.
type courier struct {
	may    bool // there is more than one processor
	trial  trial
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

// wanted tells whether the courier is to send what a turn has packed.
func (c *courier) wanted(now int64, bytes int) bool {
	return c.may && c.trial.turn(now, bytes) && bytes >= forCourier
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
