package site

import (
	"slices"

	"cohort/flowctl"
	"cohort/membership"
	"cohort/slab"
	"cohort/wire"
)

// early is a packet of a view that this site is not in yet.
type early struct {
	view      uint64
	ref       slab.Ref
	off, size int
}

// maxEarly bounds the packets kept for the next view. More are repaired.
const maxEarly = 1024

// roomFor tells whether an early packet of so many bytes is kept. All senders of a
// view together have no more under way than the least of its members can receive: what
// goes beyond this one's own buffer is of a view that it will not be in.
func (s *Site) roomFor(size int) bool {
	return len(s.early) < maxEarly && s.earlySize+flowctl.Charge(size, false) <= int(s.view.Members[s.rank].RecvBuffer)
}

// soon is a letter about the next view, from one who is in it already.
type soon struct {
	from uint64
	l    membership.Letter
}

// maxSoon bounds the letters kept for the next view. More are asked for again.
const maxSoon = 256

// Packet takes a packet of the data plane, like core.Machine.Receive. Packets of
// the view that is being agreed on come from those who have installed it already;
// they are kept.
func (s *Site) Packet(now int64, ref slab.Ref, off, size int) {
	if s.out {
		return
	}
	if s.previous == nil && !s.machine.Frozen() {
		s.machine.Receive(now, ref, off, size)
		return
	}
	b := s.pool.Bytes(ref)[off : off+size]
	switch h, err := wire.Parse(b); {
	case err != nil || h.View == s.key || h.Cluster != s.cfg.Core.Cluster:
		s.machine.Receive(now, ref, off, size)
	case s.previous != nil && h.View == s.last.View:
		s.previous.Receive(now, ref, off, size)
	case s.machine.Frozen() && s.roomFor(size) && wire.Verify(b):
		s.pool.Retain(ref)
		s.early = append(s.early, early{h.View, ref, off, size})
		s.earlySize += flowctl.Charge(size, false)
	}
}

// Train is Packet for packets that lie back to back, like core.Machine.ReceiveTrain.
func (s *Site) Train(now int64, ref slab.Ref, off, size, segment int) {
	if !s.out && s.previous == nil && !s.machine.Frozen() {
		s.machine.ReceiveTrain(now, ref, off, size, segment)
		return
	}
	for end := off + size; off < end; off += segment {
		s.Packet(now, ref, off, min(segment, end-off))
	}
}

// replay takes the packets that came before the view did.
func (s *Site) replay(now int64) {
	for _, e := range s.early {
		if e.view == s.key {
			s.machine.Receive(now, e.ref, e.off, e.size)
		}
	}
	s.drop()
	letters := s.soon
	s.soon = nil
	for _, p := range letters {
		if p.l.View == s.key {
			s.Letter(now, p.from, p.l)
		}
	}
}

func (s *Site) drop() {
	for _, e := range s.early {
		s.pool.Release(e.ref)
	}
	s.early, s.earlySize = s.early[:0], 0
}

// Letter takes a letter from the process with this ID. A Blob in it is borrowed.
func (s *Site) Letter(now int64, from uint64, l membership.Letter) {
	s.awake(now)
	rank := s.view.Rank(from)
	switch {
	case s.out:
		s.tell(from, l)
	case l.Kind == membership.Gone:
		// The ring has gone on without this member, whoever decided that.
		// If it knows what was decided and holds the cut, it ends the view as all do.
		if _, ok := s.agreement.Decided(); !ok && l.View == s.key && (rank >= 0 || s.met(from) && l.Ring == s.view.Ring) {
			s.lost = true
		}
	case l.View == s.key && rank >= 0:
		if s.agreement.Blocked() && s.agreement.Suspected(rank) != 0 {
			s.vigil.from[rank].grace = now
			s.agreement.Reachable(now, rank) // the link has healed
		}
		s.agreement.Receive(now, rank, l)
	case l.View == s.key && l.Kind == membership.Install && s.met(from):
		s.agreement.Learn(now, l)
	case l.Num == s.view.Num+1 && l.Kind != membership.State:
		s.ahead(from, l)
	case l.Kind == membership.Install && s.last.Kind == 0 && l.Num > 0 && l.Proposal.Next.Key() == s.key:
		s.last = l // this member has joined by it
	default:
		s.tell(from, l)
	}
	s.collect()
}

// ahead keeps a letter about the next view, and asks what that is: all who could
// have told may have crashed, and left those who joined.
func (s *Site) ahead(from uint64, l membership.Letter) {
	if !s.agreement.Over() {
		s.post(from, membership.Letter{Kind: membership.Suspect, View: s.key, Num: s.view.Num})
	}
	if len(s.soon) < maxSoon {
		s.soon = append(s.soon, soon{from, l})
	}
}

// met tells whether this process has written about the next view, which this
// member was in, then: members write to each other only. It may be another ring's: this
// member may have agreed to be in that before it came into its own.
func (s *Site) met(id uint64) bool {
	return slices.ContainsFunc(s.soon, func(p soon) bool { return p.from == id })
}

// tell answers a letter about a view that is over. Who is out knows only what it
// was out by: of the others in its last view, it cannot tell who else is.
func (s *Site) tell(from uint64, l membership.Letter) {
	switch {
	case l.Kind == membership.Gone: // nobody says that of a view that it is in
	case l.View == s.last.View && s.last.Kind != 0:
		if l.Kind != membership.Install && l.Kind != membership.Accepted {
			s.post(from, s.last) // it has missed the decision
		}
	case l.Num < s.view.Num && s.view.Rank(from) < 0:
		s.post(from, membership.Letter{Kind: membership.Gone, View: l.View, Num: l.Num, Ring: s.view.Ring, Text: "the ring has gone on without this member"})
	}
}

// Connected tells that there is a connection with the process with this ID.
func (s *Site) Connected(now int64, id uint64) {
	s.awake(now)
	s.linked[id] = true
	if rank := s.view.Rank(id); rank >= 0 && !s.out {
		s.vigil.from[rank].grace = now
		s.agreement.Reachable(now, rank)
		s.collect()
	}
}

// Disconnected tells that there is no connection any more: a process that is
// killed is noticed by that at once.
func (s *Site) Disconnected(now int64, id uint64) {
	s.awake(now)
	delete(s.linked, id)
	rank := s.view.Rank(id)
	if rank < 0 || s.out || s.agreement.Suspected(rank) != 0 { // the reason that there was stands
		return
	}
	s.agreement.Suspect(now, rank, membership.Crashed)
	s.collect()
}
