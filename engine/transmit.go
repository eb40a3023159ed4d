package engine

import (
	"cohort/batch"
	"cohort/engine/recorder"
	"cohort/membership"
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
	if n.courier.wanted(now, bytes) && n.pace == deliverBatch { // slow handlers may take its processor too
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
