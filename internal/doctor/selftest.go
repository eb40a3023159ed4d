package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"cohort/batch"
	"cohort/iomulticast"
	"cohort/tuning"
)

// SelfTest is what a machine can do, measured over its loopback interface with the
// engine's own sockets and no protocol.
type SelfTest struct {
	TrainsMBs float64 `json:"trains_mb_per_s"` // to one receiver, 10^6 bytes; 0: there are no trains
	PlainMBs  float64 `json:"plain_mb_per_s"`  // each packet on its own
	NoTrains  string  `json:"no_trains,omitempty"`
	Bursts    []Burst `json:"bursts"`
}

// Burst is what a receive buffer keeps of a burst while its owner does something
// else.
type Burst struct {
	Name   string `json:"name"`
	Buffer int    `json:"buffer"` // granted, bytes of kernel memory
	Sent   int    `json:"sent"`   // bytes of payload, in trains
	Kept   int    `json:"kept"`   // of them
}

const (
	segment    = 1472             // what a packet holds on most networks
	trainBytes = 40 * segment     // of a train
	burstBytes = 400 * trainBytes // 23.6 MB: more than any window
	floodTime  = 300 * time.Millisecond
	floodQuiet = time.Second // without a packet: the flood has failed
	floodShare = 4           // a window of this part of the buffer always fits it, whatever its packets
)

// Names of bursts.
const (
	asByDefault = "the kernel's default"
	asGranted   = "what an ordinary user gets"
	asWanted    = "what the engine asks for"
)

// MeasureSelf takes about two seconds. granted is what an ordinary user gets as a
// receive buffer, and byDefault who asks for none, in bytes of kernel memory.
func MeasureSelf(ctx context.Context, group netip.AddrPort, byDefault, granted int) (*SelfTest, error) {
	s := &SelfTest{}
	for _, trains := range []iomulticast.Trains{iomulticast.Auto, iomulticast.Off} {
		cfg := iomulticast.Config{Interface: "127.0.0.1", Group: group, Segment: segment, Trains: trains}
		rate, f, err := flood(ctx, cfg)
		if err != nil {
			return nil, err
		}
		switch {
		case trains == iomulticast.Off:
			s.PlainMBs = rate
		case f.GSO.On:
			s.TrainsMBs = rate
		default:
			s.NoTrains = f.GSO.Why
		}
	}
	for _, b := range []Burst{{Name: asByDefault, Buffer: byDefault}, {Name: asGranted, Buffer: granted}, {Name: asWanted, Buffer: tuning.WantRecvBuffer}} {
		if b.Buffer <= 0 || b.Buffer > tuning.WantRecvBuffer {
			continue
		}
		if b.Name == asWanted && granted >= b.Buffer {
			continue // that was it
		}
		if err := b.measure(group); err != nil {
			return nil, err
		}
		if b.Name != asWanted || b.Buffer >= tuning.WantRecvBuffer { // else it was refused
			s.Bursts = append(s.Bursts, b)
		}
	}
	return s, ctx.Err()
}

// pair opens a sender and a receiver.
func pair(cfg iomulticast.Config) (from, to *iomulticast.Conn, err error) {
	if to, err = iomulticast.Open(cfg); err != nil {
		return nil, nil, err
	}
	if from, err = iomulticast.Open(cfg); err != nil {
		_ = to.Close()
		return nil, nil, err
	}
	return from, to, nil
}

// flood sends for floodTime as fast as the receiver takes it, and returns 10^6
// bytes of payload a second.
func flood(ctx context.Context, cfg iomulticast.Config) (rate float64, f iomulticast.Features, err error) {
	from, to, err := pair(cfg)
	if err != nil {
		return 0, f, err
	}
	defer from.Close()
	defer to.Close()
	ctx, cancel := context.WithTimeout(ctx, floodTime)
	defer cancel()
	var got atomic.Int64
	received := make(chan error, 1)
	go func() { received <- sink(ctx, to, &got) }()
	window := int64(max(trainBytes, to.Features().RecvBuffer/floodShare))
	start := time.Now()
	sent, err := pump(ctx, from, &got, window)
	rate = float64(got.Load()) / 1e6 / time.Since(start).Seconds()
	if in := <-received; err == nil {
		err = in
	}
	if err == nil && sent-got.Load() > window {
		err = fmt.Errorf("doctor: of %d bytes sent over the loopback interface %d arrived", sent, got.Load())
	}
	return rate, from.Features(), err
}

// pump keeps a window full until ctx ends.
func pump(ctx context.Context, c *iomulticast.Conn, got *atomic.Int64, window int64) (sent int64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = c.PrepareThread()
	t := []batch.Train{{Buf: make([]byte, trainBytes), Segment: segment}}
	idle := time.Now()
	for last := int64(0); ctx.Err() == nil; {
		if now := got.Load(); now != last {
			last, idle = now, time.Now()
		}
		if sent-got.Load() > window-trainBytes {
			if time.Since(idle) > floodQuiet {
				return sent, fmt.Errorf("doctor: nothing arrives over the loopback interface")
			}
			c.Nap(20 * time.Microsecond)
			continue
		}
		n, err := c.Send(t)
		if err != nil {
			return sent, fmt.Errorf("doctor: %w", err)
		}
		sent += int64(n * trainBytes)
	}
	return sent, nil
}

// sink receives until ctx ends; like a busy engine it naps when a look found little.
func sink(ctx context.Context, c *iomulticast.Conn, got *atomic.Int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = c.PrepareThread()
	for in := newInbox(); ctx.Err() == nil; {
		n, bytes, err := in.read(c)
		if err != nil {
			return err
		}
		got.Add(int64(bytes))
		if n < recvTrains {
			c.Nap(50 * time.Microsecond)
		}
	}
	return nil
}

// read throws away what has come, and returns how many trains and bytes it was.
func (in *inbox) read(c *iomulticast.Conn) (n, bytes int, err error) {
	trains, err := in.take(c.RecvMulticast)
	for i := range trains {
		bytes += len(trains[i].Buf)
	}
	return len(trains), bytes, err
}

// measure sends a burst to a receiver that only looks when all has been sent.
func (b *Burst) measure(group netip.AddrPort) error {
	from, to, err := pair(iomulticast.Config{Interface: "127.0.0.1", Group: group, Segment: segment, RecvBuffer: b.Buffer})
	if err != nil {
		return err
	}
	defer from.Close()
	defer to.Close()
	b.Buffer = to.Features().RecvBuffer
	t := []batch.Train{{Buf: make([]byte, trainBytes), Segment: segment}}
	for b.Sent < burstBytes {
		n, err := from.Send(t)
		if err != nil {
			return fmt.Errorf("doctor: %w", err)
		}
		b.Sent += n * trainBytes
	}
	for in := newInbox(); ; {
		n, bytes, err := in.read(to)
		if err != nil || n == 0 {
			return err
		}
		b.Kept += bytes
	}
}

// Hears tells whether a second node on this host hears what a first one sends to
// the group on an interface: of sent packets, received. The packets go out to the
// network too, unless the interface is the loopback one.
func Hears(p Place) (sent, received int, err error) {
	from, to, err := pair(iomulticast.Config{Interface: p.Interface, Group: p.Group})
	if err != nil {
		return 0, 0, err
	}
	defer from.Close()
	defer to.Close()
	trial := Trial{ID: 1, Multicast: true, Size: smallPayload, Packets: 20, Train: 1}
	secret := newSecret()
	if err := newEnd(from, p.Group, to.Addr(), secret).send(trial); err != nil {
		return 0, 0, err
	}
	all := make(chan struct{})
	close(all)
	tally, err := newEnd(to, p.Group, from.Addr(), secret).receive(trial, all)
	return trial.Packets, tally.Received, err
}
