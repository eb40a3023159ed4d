package engine

import (
	"encoding/binary"
	"math/bits"
	"time"

	"cohort/batch"
	"cohort/control"
	"cohort/groups"
	"cohort/membership"
	"cohort/site"
	"cohort/wire"
)

// beacon hands a packet by which processes find each other to the protocol.
func (n *Node) beacon(now int64, b []byte) {
	h, err := wire.Parse(b)
	if err != nil || h.Cluster != n.cfg.clusterID() || h.Kind != wire.Here && h.Kind != wire.Ring || !wire.Verify(b) {
		n.stats.loop.BadBeacons++
		return
	}
	bc, err := membership.ParseBeacon(h.Kind, b[wire.HeaderSize:wire.HeaderSize+h.Body])
	if err != nil {
		n.stats.loop.BadBeacons++
		return
	}
	if bc.Kind == wire.Here && n.proc.In() {
		n.callers.add(now, bc.From.Addr)
	}
	n.proc.Beacon(now, bc)
}

// announce sends the beacons that are due: to all that hear multicast, to where
// others may be, and to who has called lately.
func (n *Node) announce() error {
	for _, b := range n.proc.Beacons() {
		p := make([]byte, wire.HeaderSize, 512)
		p = b.Append(p)
		h := wire.Header{Kind: b.Kind, Cluster: n.cfg.clusterID(), Body: len(p) - wire.HeaderSize}
		p = append(p, make([]byte, wire.SumSize)...)
		wire.PutHeader(p, h)
		wire.Seal(p)
		trains := []batch.Train{{Buf: p, Segment: len(p)}}
		seeds := n.seeds.list()
		for i := range seeds {
			trains = append(trains, batch.Train{Buf: p, Segment: len(p), To: &seeds[i]})
		}
		for i := range n.callers.list {
			if b.Kind == wire.Ring && n.callers.list[i].until > n.now() {
				trains = append(trains, batch.Train{Buf: p, Segment: len(p), To: &n.callers.list[i].to})
			}
		}
		if err := n.put(trains); err != nil {
			return err
		}
	}
	return nil
}

// poll takes the news of the control plane.
func (n *Node) poll(now int64) {
	n.letters = n.mesh.Poll(n.letters[:0])
	for i := range n.letters {
		e := &n.letters[i]
		switch e.Kind {
		case control.Connected:
			n.proc.Connected(now, e.Peer)
		case control.Disconnected:
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
	switch l.Kind {
	case membership.WantState:
		n.tellRoster(from, l)
	case membership.State:
		n.hearRoster(from, l)
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
		}
	}
}

func (n *Node) mail(p site.Post) {
	n.stats.loop.LettersSent++
	n.mesh.Send(p.To, p.Letter.Append(nil))
}

// roster is how a node that has joined a ring learns the table of its groups: a
// member that stays sends it when the view begins, labelled with the place in the
// total order that it belongs to; until it has come, operations are kept.
type roster struct {
	known bool
	ops   uint32 // operations delivered in this view
	kept  []keptOp
	early *membership.Letter // a table of a view that this node is not in yet
	none  uint64             // ranks that have said that they do not have it either
	asked int64              // when the others were last asked for it; 0: not yet
}

type keptOp struct {
	sender int
	op     groups.Op
}

// askRosterEvery is how often the table is asked for until it has come, ns.
const askRosterEvery = int64(50 * time.Millisecond)

// begins looks after the table when a view begins.
func (r *roster) begins() {
	r.ops, r.kept, r.none, r.asked = 0, nil, 0, 0
}

// welcomeRoster sends the table to those who have joined, if it is this node's to do.
func (n *Node) welcomeRoster(v membership.View) {
	joined := v.Joined()
	for r, m := range v.Members {
		if m.Joined != v.Num {
			if r != n.rank() || !n.roster.known {
				return
			}
			break
		}
	}
	for _, r := range joined {
		n.mail(site.Post{To: v.Members[r].ID, Letter: n.rosterLetter(v)})
	}
}

func (n *Node) rosterLetter(v membership.View) membership.Letter {
	l := membership.Letter{Kind: membership.State, View: v.Key(), Num: v.Num}
	if n.roster.known {
		l.Blob = binary.LittleEndian.AppendUint32([]byte{1}, n.roster.ops)
		l.Blob = n.groups.table.Append(l.Blob)
	} else {
		l.Blob = []byte{0}
	}
	return l
}

// tellRoster answers one who asks for the table. Only in the same view: there no
// table can come any more to those who all say that they have none.
func (n *Node) tellRoster(from uint64, l membership.Letter) {
	if n.proc.In() && n.proc.Site().Key() == l.View && n.proc.Site().View().Rank(from) >= 0 {
		n.mail(site.Post{To: from, Letter: n.rosterLetter(n.proc.Site().View())})
	}
}

// hearRoster takes the table.
func (n *Node) hearRoster(from uint64, l membership.Letter) {
	r := &n.roster
	if r.known || len(l.Blob) == 0 {
		return
	}
	v, isTable := n.view(), l.Blob[0] == 1 && len(l.Blob) >= 5
	// It comes before the Install of the view that it belongs to.
	if in := n.presence.now().standing != outside; !in || l.View != n.proc.Site().Key() {
		if (!in || l.Num > v.Num) && isTable {
			l.Blob = append([]byte(nil), l.Blob...)
			r.early = &l
		}
		return
	}
	rank := v.Rank(from)
	switch {
	case rank < 0:
	case l.Blob[0] == 0:
		r.none |= 1 << rank
		n.noRoster()
	case isTable:
		n.useRoster(l.Blob[1:])
	}
}

func (n *Node) useRoster(b []byte) {
	r := &n.roster
	ops := int(binary.LittleEndian.Uint32(b))
	t, err := groups.Parse[*Group](n.view(), b[4:])
	switch {
	case err != nil:
		n.cfg.Logger.Error("the table of groups cannot be read", "error", err)
		return
	case ops > len(r.kept): // this node has delivered less than its sender: ask again later
		return
	}
	n.groups.table = t
	n.rosterKnown(r.kept[ops:])
}

// rosterKnown carries out what was kept until the table was there.
func (n *Node) rosterKnown(kept []keptOp) {
	r := &n.roster
	r.known, r.early = true, nil
	r.kept = nil
	for _, k := range kept {
		n.apply(k.sender, k.op)
	}
	n.arrived()
}

// noRoster begins with an empty table if nobody in this view has one: all who had
// it have failed, so every member comes to the same conclusion.
func (n *Node) noRoster() {
	if bits.OnesCount64(n.roster.none) == len(n.view().Members)-1 {
		n.groups.table = groups.New[*Group](n.view())
		n.rosterKnown(n.roster.kept)
	}
}

// seekRoster asks for the table if it has not come.
func (n *Node) seekRoster(now int64) {
	r := &n.roster
	if r.known || !n.proc.In() || n.presence.now().standing == outside {
		return
	}
	if e := r.early; e != nil && e.View == n.proc.Site().Key() {
		r.early = nil
		n.useRoster(e.Blob[1:])
		return
	}
	if now-r.asked < askRosterEvery {
		return
	}
	first := r.asked == 0
	r.asked = now
	if first { // it may be on its way
		return
	}
	v := n.view()
	for i, m := range v.Members {
		if i != n.rank() {
			n.mail(site.Post{To: m.ID, Letter: membership.Letter{Kind: membership.WantState, View: v.Key(), Num: v.Num}})
		}
	}
}

// rosterDue returns when seekRoster is due.
func (n *Node) rosterDue() int64 {
	if n.roster.known || !n.proc.In() {
		return membership.Never
	}
	return n.roster.asked + askRosterEvery
}
