package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"cohort/batch"
	"cohort/iomulticast"
)

// Trial is one thing that is sent from one host to the other.
type Trial struct {
	ID        uint32 `json:"id"`
	ToPeer    bool   `json:"to_peer"`   // from who probes to who listens
	Multicast bool   `json:"multicast"` // or else unicast
	Size      int    `json:"size"`      // of a packet, bytes of UDP payload
	Packets   int    `json:"packets"`   // in all
	Train     int    `json:"train"`     // packets to a train; 1: none
	Whole     bool   `json:"whole"`     // packets must not be fragmented
}

// check guards against a peer that asks for what is not to be had.
func (t Trial) check() error {
	if t.Size < headerSize+1 || t.Size > batch.MaxPayload || t.Packets < 1 || t.Packets > maxProbePackets ||
		t.Train < 1 || t.Train > batch.MaxSegments || t.Train*t.Size > batch.MaxPayload {
		return fmt.Errorf("doctor: trial %+v: want %d to %d bytes, up to %d packets, trains of up to %d packets and %d bytes",
			t, headerSize+1, batch.MaxPayload, maxProbePackets, batch.MaxSegments, batch.MaxPayload)
	}
	return nil
}

// size is the bytes of packet seq. The last one of every other train is shorter,
// since kernels that mangle trains do so with only one of both kinds.
func (t Trial) size(seq int) int {
	if t.Train > 1 && seq%(2*t.Train) == 2*t.Train-1 {
		return t.Size - 1
	}
	return t.Size
}

const (
	pace       = time.Millisecond       // between trains, so that a slow network is not the finding
	perPace    = 16                     // lone packets in that time
	grace      = 150 * time.Millisecond // for what is still on its way when all has been sent
	patience   = 10 * time.Second       // for the peer's next word
	recvTrains = 16
)

// send sends a trial. Packets that the system refuses (as too large, or by a
// filter) do not end it: the peer will miss them.
func (e *end) send(t Trial) error {
	to := e.peer
	if t.Multicast {
		to = e.group
	}
	if t.Whole {
		return e.whole(t, to)
	}
	dest := batch.MakeAddr(to)
	buf := make([]byte, t.Train*t.Size)
	for seq := 0; seq < t.Packets; {
		train := batch.Train{Segment: t.Size, To: &dest}
		n := 0
		for k := 0; k < t.Train && seq < t.Packets; k++ {
			p := buf[n : n+t.size(seq)]
			stamp(p, e.secret, t.ID, uint32(seq))
			n, seq = n+len(p), seq+1
		}
		train.Buf = buf[:n]
		_, err := e.socks.Send([]batch.Train{train})
		if errors.Is(err, batch.ErrAgain) {
			err = e.socks.WaitWritable(pace)
		}
		if err != nil && !refused(err) {
			return err
		}
		if t.Train > 1 || seq%perPace == 0 {
			e.socks.Nap(pace)
		}
	}
	return nil
}

// whole sends a trial in packets that nobody may fragment.
func (e *end) whole(t Trial, to netip.AddrPort) error {
	s, err := openWhole(e.socks.Features().Interface, e.socks.Addr().Addr())
	if err != nil {
		return err
	}
	defer s.close()
	p := make([]byte, t.Size)
	for seq := range t.Packets {
		stamp(p[:t.size(seq)], e.secret, t.ID, uint32(seq))
		if err := s.send(p[:t.size(seq)], to); err != nil && !refused(err) {
			return err
		}
	}
	return nil
}

// receive counts what comes of a trial, until all is there or grace has passed
// since sent was closed.
func (e *end) receive(t Trial, sent <-chan struct{}) (Tally, error) {
	c := newCounter(e.secret, t)
	recv := e.socks.RecvUnicast
	if t.Multicast {
		recv = e.socks.RecvMulticast
	}
	var until time.Time
	for until.IsZero() || time.Now().Before(until) {
		n, err := e.drain(recv, c)
		if err != nil {
			return c.Tally, err
		}
		select {
		case <-sent:
			if until.IsZero() {
				until = time.Now().Add(grace)
			}
			if c.Received == t.Packets {
				return c.Tally, nil
			}
		default:
		}
		if n == 0 {
			e.socks.Nap(pace)
		}
	}
	return c.Tally, nil
}

// drain counts what has come of the trial.
func (e *end) drain(recv func([]batch.Train) (int, error), c *counter) (n int, err error) {
	trains, err := e.in.take(recv)
	for i := range trains {
		if t := &trains[i]; t.From.Addr() == e.peer.Addr() {
			c.take(t)
		}
	}
	return len(trains), err
}

// end is one of the two hosts of a probe.
type end struct {
	socks  *iomulticast.Conn
	group  netip.AddrPort
	peer   netip.AddrPort // its socket
	secret uint64
	in     *inbox
}

func newEnd(socks *iomulticast.Conn, group, peer netip.AddrPort, secret uint64) *end {
	return &end{socks, group, peer, secret, newInbox()}
}

// inbox is memory to receive into.
type inbox struct {
	trains []batch.Train
	memory [][]byte
}

func newInbox() *inbox {
	in := &inbox{trains: make([]batch.Train, recvTrains)}
	for range recvTrains {
		in.memory = append(in.memory, make([]byte, batch.MaxPayload))
	}
	return in
}

// take returns what has come, valid until the next take.
func (in *inbox) take(recv func([]batch.Train) (int, error)) ([]batch.Train, error) {
	for i := range in.trains {
		in.trains[i].Buf = in.memory[i]
	}
	n, err := recv(in.trains)
	return in.trains[:n], err
}
