package doctor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"cohort/batch"
)

// Path is what a probe found between two hosts.
type Path struct {
	Local netip.Addr     `json:"local"`
	Peer  netip.Addr     `json:"peer"`
	Group netip.AddrPort `json:"group"`
	Ways  []Way          `json:"ways"` // multicast and unicast, out and in
}

// Way is one kind of packet in one direction.
type Way struct {
	Multicast bool   `json:"multicast"`
	Out       bool   `json:"out"`  // from here to the peer
	Sent      int    `json:"sent"` // small packets
	Tally     Tally  `json:"tally"`
	Wanted    int    `json:"wanted"`              // packet that both interfaces' MTUs allow, bytes with IP header
	Largest   int    `json:"largest"`             // that passes without being fragmented; 0: none, or not measured
	NotSized  string `json:"not_sized,omitempty"` // why Largest was not measured

	TrainPackets int    `json:"train_packets"` // sent in trains; 0: not measured
	TrainTally   Tally  `json:"train_tally"`
	NoTrains     string `json:"no_trains,omitempty"` // why not
}

const (
	smallPayload  = 100 // bytes: passes wherever anything does
	smallPackets  = 400
	sizePackets   = 3
	trainsSent    = 100
	trainPackets  = 16
	udpOverhead   = 28   // bytes of IPv4 and UDP header
	mostOnTheWire = 9216 // bytes: no network carries more; on lo more is possible and not of interest
)

// prober is the end that says what is tried.
type prober struct {
	*talk
	*end
	theirs hello
	trials uint32
}

// Probe connects to a Listen at peer and tries what passes, both ways.
func Probe(ctx context.Context, p Place, peer netip.AddrPort) (*Path, error) {
	conn, err := p.open()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: conn.Addr().Addr().AsSlice()}}
	c, err := dialer.DialContext(ctx, "tcp4", peer.String())
	if err != nil {
		return nil, fmt.Errorf("doctor: %w: is vsbench doctor --listen running there, and does its firewall accept TCP from here, as a node's control plane needs it too?", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	t := newTalk(c)
	secret := newSecret()
	if err := t.say(message{Hello: &hello{version, secret, p.Group, conn.Addr(), canSize, conn.Features()}}); err != nil {
		return nil, err
	}
	m, err := t.hear()
	if err != nil {
		return nil, err
	}
	h, err := t.greeted(m)
	if err != nil {
		return nil, err
	}
	pr := &prober{talk: t, end: newEnd(conn, p.Group, h.Socket, secret), theirs: *h}
	path := &Path{Local: conn.Addr().Addr(), Peer: h.Socket.Addr(), Group: p.Group}
	for _, w := range []Way{{Multicast: true, Out: true}, {Multicast: true}, {Out: true}, {}} {
		if err := pr.way(&w); err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		path.Ways = append(path.Ways, w)
	}
	return path, nil
}

func newSecret() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// way tries small packets, then how large they may be, then trains.
func (p *prober) way(w *Way) (err error) {
	ours := p.socks.Features()
	w.Wanted = min(ours.MTU, p.theirs.Features.MTU, mostOnTheWire)
	w.Sent = smallPackets
	if w.Tally, err = p.try(w, Trial{Size: smallPayload, Packets: smallPackets, Train: 1}); err != nil || w.Tally.Received == 0 {
		return err
	}
	from, sizes := p.theirs.Features, p.theirs.Sizes
	if w.Out {
		from, sizes = ours, canSize
	}
	if !sizes {
		w.NotSized = "the sender's system has no packets that nobody may fragment"
	} else if w.Largest, err = p.largest(w); err != nil {
		return err
	}
	if !from.GSO.On {
		w.NoTrains = "the sender has them off: " + from.GSO.Why
		return nil
	}
	segment := min(ours.Segment, p.theirs.Features.Segment)
	if w.Largest > udpOverhead+headerSize {
		segment = min(segment, w.Largest-udpOverhead)
	}
	packets := min(trainPackets, batch.MaxPayload/segment)
	w.TrainPackets = trainsSent * packets
	w.TrainTally, err = p.try(w, Trial{Size: segment, Packets: w.TrainPackets, Train: packets})
	return err
}

// largest finds the largest packet that passes, in bytes with its IP header, by
// halving what is not known yet. Most often the first try is the last.
func (p *prober) largest(w *Way) (int, error) {
	passes, fails := smallPayload+udpOverhead, w.Wanted+1
	for next := w.Wanted; passes < fails-1; next = (passes + fails) / 2 {
		t, err := p.try(w, Trial{Size: next - udpOverhead, Packets: sizePackets, Train: 1, Whole: true})
		if err != nil {
			return 0, err
		}
		if t.Received > 0 {
			passes = next
		} else {
			fails = next
		}
	}
	return passes, nil
}

// try has one trial sent and received.
func (p *prober) try(w *Way, t Trial) (Tally, error) {
	p.trials++
	t.ID, t.ToPeer, t.Multicast = p.trials, w.Out, w.Multicast
	if err := p.say(message{Trial: &t}); err != nil {
		return Tally{}, err
	}
	if !w.Out {
		return p.collect(p.end, t)
	}
	if err := p.transmit(p.end, t); err != nil {
		return Tally{}, err
	}
	m, err := p.hear()
	if err != nil || m.Tally == nil {
		return Tally{}, unexpected(m, "a tally", err)
	}
	return *m.Tally, nil
}
