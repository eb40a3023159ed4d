package engine

import (
	"net/netip"
	"slices"

	"cohort/batch"
	"cohort/control"
	"cohort/engine/recorder"
	"cohort/groups"
	"cohort/membership"
	"cohort/site"
	"cohort/wire"
)

// beacon hands a packet by which processes find each other to the protocol.
func (n *Node) beacon(now int64, b []byte, by arrival) {
	h, err := wire.Parse(b)
	if err != nil || h.Local || h.Cluster != n.cfg.clusterID() || h.Kind != wire.Here && h.Kind != wire.Ring || !wire.Verify(b) {
		n.stats.loop.BadBeacons++
		return
	}
	bc, err := membership.ParseBeacon(h.Kind, b[wire.HeaderSize:wire.HeaderSize+h.Body])
	if err != nil {
		n.stats.loop.BadBeacons++
		return
	}
	if bc.Kind == wire.Here && (n.proc.In() || !by.multicast) {
		n.callers.add(now, bc.From.Addr)
	}
	n.stats.loop.BeaconsReceived++
	n.obs.rec.Name(bc.From.ID, bc.From.Name)
	n.note(recorder.BeaconHeard, bc.From.ID, uint64(bc.Size), bc.Num, beaconName(bc.Kind))
	n.relay(b, &bc, by)
	n.proc.Beacon(now, bc)
}

func beaconName(k wire.Kind) string {
	if k == wire.Ring {
		return "ring"
	}
	return "here"
}

// relay passes a beacon on to this ring's leader, who alone can do something about it,
// if it may not have heard it. Only what comes straight from its sender is passed on, so
// that no beacon goes round.
func (n *Node) relay(b []byte, bc *membership.Beacon, by arrival) {
	if !n.proc.In() || n.proc.Site().Leading() || by.from != bc.From.Addr {
		return
	}
	v := n.proc.Site().View()
	leader := n.proc.Site().Leader()
	if v.Rank(bc.From.ID) >= 0 || by.multicast && n.carrier.reach.Reaches(leader) {
		return
	}
	if to := n.outbox.addr(&v.Members[leader]); to != nil {
		n.relayed = append(n.relayed, batch.Train{Buf: append([]byte(nil), b...), Segment: len(b), To: to})
	}
}

// announce sends the beacons that are due: to all that hear multicast, to where others
// may be, and to who has called lately; and passes on those that others need.
func (n *Node) announce() error {
	for _, b := range n.proc.Beacons() {
		n.stats.loop.BeaconsSent++
		n.note(recorder.BeaconSent, 0, uint64(b.Size), b.Num, beaconName(b.Kind))
		p := make([]byte, wire.HeaderSize, 512)
		p = b.Append(p)
		h := wire.Header{Kind: b.Kind, Cluster: n.cfg.clusterID(), Body: len(p) - wire.HeaderSize}
		p = append(p, make([]byte, wire.SumSize)...)
		wire.PutHeader(p, h)
		wire.Seal(p)
		trains := []batch.Train{{Buf: p, Segment: len(p)}}
		seeds := n.seeds.list()
		for i := range seeds {
			if seeds[i].AddrPort() != n.conn.Addr() {
				trains = append(trains, batch.Train{Buf: p, Segment: len(p), To: &seeds[i]})
			}
		}
		for i := range n.callers.list {
			if c := &n.callers.list[i]; c.until > n.now() && !isSeed(seeds, c.addr) {
				trains = append(trains, batch.Train{Buf: p, Segment: len(p), To: &c.to})
			}
		}
		if err := n.put(trains); err != nil {
			return err
		}
	}
	if len(n.relayed) == 0 {
		return nil
	}
	err := n.put(n.relayed)
	n.relayed = n.relayed[:0]
	return err
}

func isSeed(seeds []batch.Addr, addr netip.AddrPort) bool {
	return slices.ContainsFunc(seeds, func(s batch.Addr) bool { return s.AddrPort() == addr })
}

// poll takes the news of the control plane.
func (n *Node) poll(now int64) {
	n.letters = n.mesh.Poll(n.letters[:0])
	for i := range n.letters {
		e := &n.letters[i]
		switch e.Kind {
		case control.Connected:
			n.note(recorder.Connected, e.Peer, 0, 0, "")
			n.carrier.reach.Gone(now, e.Peer)
			n.carrier.hearing.Connected(e.Peer)
			n.proc.Connected(now, e.Peer)
		case control.Disconnected:
			n.trouble = e.Err
			n.note(recorder.Disconnected, e.Peer, 0, 0, e.Err.Error())
			n.carrier.reach.Gone(now, e.Peer)
			n.proc.Disconnected(now, e.Peer)
		case control.Received:
			n.letter(now, e.Peer, e.Body)
		}
	}
	clear(n.letters)
}

func (n *Node) letter(now int64, from uint64, body []byte) {
	l, err := membership.ParseLetter(body)
	if err != nil {
		n.stats.loop.BadLetters++
		return
	}
	n.stats.loop.LettersReceived++
	n.note(recorder.LetterHeard, from, uint64(l.Ballot), l.Num, l.Kind.String())
	switch l.Kind {
	case membership.WantState, membership.State:
		posts, err := n.roster.Letter(from, l, n.proc.Finishing())
		n.mailRoster(posts, err)
	case membership.Hears:
		n.carrier.reach.Says(now, from, l.Heard)
	default:
		n.proc.Letter(now, from, l)
	}
}

// correspond sends the letters, and then sees to the connections.
func (n *Node) correspond() {
	for _, p := range n.proc.Letters() {
		n.mail(p)
	}
	for _, l := range n.proc.Links() {
		if l.Dial {
			n.mesh.Dial(l.Peer, l.Addr)
		} else {
			n.mesh.Hangup(l.Peer)
			n.carrier.reach.Gone(n.now(), l.Peer)
		}
	}
}

func (n *Node) mail(p site.Post) {
	n.stats.loop.LettersSent++
	n.note(recorder.LetterSent, p.To, uint64(p.Ballot), p.Num, p.Kind.String())
	n.mesh.Send(p.To, p.Letter.Append(nil))
}

// seekRoster asks for the table of the ring's groups if it has not come, and goes on
// when it has.
func (n *Node) seekRoster(now int64) {
	posts, err := n.roster.Ask(now)
	n.mailRoster(posts, err)
	n.learned()
}

// mailRoster sends what the roster has to say.
func (n *Node) mailRoster(posts []groups.Post, err error) {
	for _, p := range posts {
		n.mail(site.Post(p))
	}
	if err != nil {
		n.cfg.Logger.Error("the table of groups cannot be read", "error", err)
	}
}

// learned carries out what was kept until the table was there.
func (n *Node) learned() {
	ops, ok := n.roster.Learned()
	if !ok {
		return
	}
	for _, o := range ops {
		n.apply(o.Sender, o.Op)
	}
	n.arrived()
}
