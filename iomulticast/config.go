// Package iomulticast opens the sockets of a node: one that hears a multicast
// group, and one with an address of its own that everything is sent from. It
// probes what the kernel offers (trains, filters, buffers), tests it, uses what
// works and reports what does not.
//
// On Linux packets travel in trains through package batch. Elsewhere, and only
// there, a portable path over golang.org/x/net/ipv4 takes over.
package iomulticast

import (
	"errors"
	"fmt"
	"net/netip"

	"cohort/batch"
)

// Errors of Open. They come wrapped in one that names the value at fault and
// what was expected.
var (
	ErrInterface = errors.New("no usable interface")
	ErrGroup     = errors.New("not a multicast group")
	ErrOption    = errors.New("value out of range")
)

// Trains says whether packets may travel in trains.
type Trains int

const (
	// Auto uses trains where the kernel offers them and they pass a self-test.
	Auto Trains = iota
	// Off never uses them, for kernels and cards that mangle them.
	Off
)

// Config says what to open.
type Config struct {
	Interface string         // by name ("lo") or by address ("127.0.0.1"). Required
	Group     netip.AddrPort // IPv4 multicast address and port. Required
	Port      int            // UDP port of the node's own socket; 0: any
	TTL       int            // routers' hops that multicast may pass, 1 to 255. Default 1: none

	// Bytes of kernel memory asked for each socket, as getsockopt reports them,
	// which is twice what setsockopt is given. The kernel counts its own
	// overhead too: a lone small packet takes about 800 bytes of it. 0: the
	// default, which is more than most systems grant.
	RecvBuffer, SendBuffer int

	Trains  Trains // Auto or Off
	Segment int    // largest packet, bytes of UDP payload; 0: from the interface's MTU
	Faults  Faults // what to do to received packets, for tests. Default nothing
}

const (
	// defaultRecvBuffer holds 250 trains of 64 KiB per socket: more than a
	// window needs, so that a burst while the loop is off its core is no loss.
	defaultRecvBuffer = 32 << 20

	// defaultSendBuffer holds some tens of trains while a card drains them.
	// On lo and between namespaces packets leave it at once.
	defaultSendBuffer = 4 << 20

	// maxBuffer is what an option of the kernel's type int can hold, halved
	// because the kernel doubles what it is given.
	maxBuffer = 1<<30 - 1

	// minSegment leaves room for a header and the vectors of the largest view.
	minSegment = 512

	// udpOverhead is the bytes of IPv4 and UDP header in each packet.
	udpOverhead = 20 + 8

	// loSegment is the largest packet where the MTU would allow 64 KiB, as on lo.
	// BenchmarkSegmentsOnLo finds no difference in MB/s between packets of 1472
	// and of 65,472 bytes that is larger than its noise (2.0 to 2.4 GB/s to each
	// of two receivers), so what decides is the engine's own work: few packets.
	// Packets of 65,504 bytes took 1.3 to 3 times the CPU; why is not known.
	loSegment = 65472
)

// withDefaults returns the configuration with zero values filled in, or an
// error that names what is wrong.
func (c Config) withDefaults() (Config, error) {
	if c.TTL == 0 {
		c.TTL = 1
	}
	if c.RecvBuffer == 0 {
		c.RecvBuffer = defaultRecvBuffer
	}
	if c.SendBuffer == 0 {
		c.SendBuffer = defaultSendBuffer
	}
	return c, c.validate()
}

func (c Config) validate() error {
	a := c.Group.Addr()
	if !a.Is4() || !a.IsMulticast() || c.Group.Port() == 0 {
		return fmt.Errorf("iomulticast: group %v: %w: want an IPv4 address in 224.0.0.0/4 and a port, like 239.1.2.3:7400",
			c.Group, ErrGroup)
	}
	if c.Trains != Auto && c.Trains != Off {
		return fmt.Errorf("iomulticast: trains %d: %w: want Auto or Off", int(c.Trains), ErrOption)
	}
	if c.Segment != 0 {
		if err := inRange("segment", c.Segment, minSegment, batch.MaxPayload); err != nil {
			return err
		}
	}
	if err := inRange("port", c.Port, 0, 65535); err != nil {
		return err
	}
	if err := inRange("TTL", c.TTL, 1, 255); err != nil {
		return err
	}
	if err := inRange("receive buffer", c.RecvBuffer, 1, maxBuffer); err != nil {
		return err
	}
	if err := inRange("send buffer", c.SendBuffer, 1, maxBuffer); err != nil {
		return err
	}
	return c.Faults.validate()
}

func inRange(what string, v, low, high int) error {
	if v < low || v > high {
		return fmt.Errorf("iomulticast: %s %d: %w: want %d to %d", what, v, ErrOption, low, high)
	}
	return nil
}

// segment returns the largest packet to use on an interface, in bytes of
// payload. A packet never exceeds what one datagram, and one slab, can hold.
func (c Config) segment(mtu int) int {
	if c.Segment != 0 {
		return c.Segment
	}
	return min(mtu-udpOverhead, loSegment)
}
