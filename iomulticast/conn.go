package iomulticast

import (
	"fmt"
	"net/netip"
	"time"

	"cohort/batch"
)

// Conn is a node's pair of sockets. Addr, Features and Wake may be called from
// any goroutine at any time; Send and WaitWritable from any, but by one at a time and not
// during or after Close; everything else belongs to the one goroutine that runs the node's
// loop.
type Conn struct {
	link   link
	addr   netip.AddrPort
	group  batch.Addr
	filter bool // own multicast is dropped by the kernel

	multicastFaults, unicastFaults *faulty // nil: none
}

// link is the sockets of one kind of system. Methods are those of Conn.
type link interface {
	Addr() netip.AddrPort
	Features() Features
	Send([]batch.Train) (int, error) // every train has its destination
	RecvMulticast([]batch.Train) (int, error)
	RecvUnicast([]batch.Train) (int, error)
	Wait(time.Duration) error
	WaitWritable(time.Duration) error
	Wake() error
	Nap(time.Duration)
	PrepareThread() error
	Drops() uint64
	Close() error
}

// Open joins the group on the interface and returns the node's sockets. Errors
// wrap ErrInterface, ErrGroup or ErrOption when the configuration cannot work on
// this machine, and otherwise the system's.
func Open(cfg Config) (*Conn, error) { return open(cfg, openLink) }

func open(cfg Config, openLink func(Config, nic) (link, error)) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n, err := findInterface(cfg.Interface)
	if err != nil {
		return nil, err
	}
	l, err := openLink(cfg, n)
	if err != nil {
		return nil, fmt.Errorf("iomulticast: %s, group %v: %w", n.Name, cfg.Group, err)
	}
	return &Conn{
		link:            l,
		addr:            l.Addr(),
		group:           batch.MakeAddr(cfg.Group),
		filter:          l.Features().Filter.On,
		multicastFaults: newFaulty(cfg.Faults, 0),
		unicastFaults:   newFaulty(cfg.Faults, 1),
	}, nil
}

// Addr returns the unicast address of this node, the interface's address and a
// port of its own: the source of all that it sends.
func (c *Conn) Addr() netip.AddrPort { return c.addr }

// Features returns what Open found, and what has been switched off since.
func (c *Conn) Features() Features { return c.link.Features() }

// Send sends trains in order without blocking and returns how many have gone
// whole; see batch.Sender.Send for errors and for how the rest goes on. Where To
// is nil, Send sets it to the group.
func (c *Conn) Send(trains []batch.Train) (int, error) {
	for i := range trains {
		if trains[i].To == nil {
			trains[i].To = &c.group
		}
	}
	return c.link.Send(trains)
}

// RecvMulticast takes, without blocking, what other nodes have sent to the
// group; see batch.Receiver.Recv. A node's own packets do not come back.
func (c *Conn) RecvMulticast(trains []batch.Train) (int, error) {
	n, err := c.link.RecvMulticast(trains)
	if !c.filter {
		c.dropOwn(trains[:n])
	}
	if c.multicastFaults != nil {
		n = c.multicastFaults.apply(trains, n)
	}
	return n, err
}

// RecvUnicast takes, without blocking, what was sent to this node alone; see
// batch.Receiver.Recv.
func (c *Conn) RecvUnicast(trains []batch.Train) (int, error) {
	n, err := c.link.RecvUnicast(trains)
	if c.unicastFaults != nil {
		n = c.unicastFaults.apply(trains, n)
	}
	return n, err
}

func (c *Conn) dropOwn(trains []batch.Train) {
	for i := range trains {
		if trains[i].From == c.addr {
			trains[i].Buf = trains[i].Buf[:0]
		}
	}
}

// Wait sleeps in the kernel until a packet has come, Wake was called (since the
// last Wait, or now), or the timeout has passed; a negative timeout never does.
// It may return early for no reason.
func (c *Conn) Wait(timeout time.Duration) error { return c.link.Wait(timeout) }

// WaitWritable sleeps until Send can go on after batch.ErrAgain, or the timeout
// has passed. Packets and Wake do not end it.
func (c *Conn) WaitWritable(timeout time.Duration) error { return c.link.WaitWritable(timeout) }

// Wake ends the present Wait or else the next. It may be called from any
// goroutine, also while the Conn is being closed and after: it then returns
// net.ErrClosed.
func (c *Conn) Wake() error { return c.link.Wake() }

// Nap sleeps for about d, whatever comes in: a busy loop that naps takes all
// that has come in one go instead of being woken for every train.
func (c *Conn) Nap(d time.Duration) { c.link.Nap(d) }

// PrepareThread makes short sleeps of the calling thread exact, where the system
// knows how. Call it once on the loop's locked thread.
func (c *Conn) PrepareThread() error { return c.link.PrepareThread() }

// Drops returns how many packets (trains count as one) the kernel has dropped
// because a receive buffer was full or a checksum wrong, as far as the packets
// received since tell. It is never more than the truth; while this node sends
// it may be less by what the node has sent in the meantime. Always 0 where the
// system does not count.
func (c *Conn) Drops() uint64 { return c.link.Drops() }

// Close leaves the group and closes the sockets. Methods called after it return
// net.ErrClosed, where they return an error.
func (c *Conn) Close() error { return c.link.Close() }
