package site

import (
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

// Packet takes a packet of the data plane, like core.Machine.Receive. Packets of
// the view that is being agreed on come from those who have installed it already;
// they are kept.
func (s *Site) Packet(now int64, ref slab.Ref, off, size int) {
	if s.out {
		return
	}
	if s.machine.Frozen() && len(s.early) < maxEarly {
		b := s.pool.Bytes(ref)[off : off+size]
		if h, err := wire.Parse(b); err == nil && h.View != s.key && h.Cluster == s.cfg.Core.Cluster && wire.Verify(b) {
			s.pool.Retain(ref)
			s.early = append(s.early, early{h.View, ref, off, size})
			return
		}
	}
	s.machine.Receive(now, ref, off, size)
}

// replay takes the packets that came before the view did.
func (s *Site) replay(now int64) {
	for _, e := range s.early {
		if e.view == s.key {
			s.machine.Receive(now, e.ref, e.off, e.size)
		}
	}
	s.drop()
}

func (s *Site) drop() {
	for _, e := range s.early {
		s.pool.Release(e.ref)
	}
	s.early = s.early[:0]
}

// Letter takes a letter from the process with this ID. A Blob in it is borrowed.
func (s *Site) Letter(now int64, from uint64, l membership.Letter) {
	if s.out {
		s.post(from, s.gone(l))
		return
	}
	rank := s.view.Rank(from)
	switch {
	case l.Kind == membership.Gone:
		// The ring has gone on without this member, whoever decided that.
		s.lost = s.lost || l.View == s.key && rank >= 0
	case l.View == s.key && rank >= 0:
		s.agreement.Receive(now, rank, l)
	case l.Num < s.view.Num && l.Num+1 == s.view.Num && rank >= 0 && s.last.Kind != 0 && l.View == s.last.View:
		if l.Kind != membership.Install && l.Kind != membership.Accepted {
			s.post(from, s.last) // it has missed the decision
		}
	case l.Num < s.view.Num && rank < 0:
		s.post(from, s.gone(l))
	}
	s.collect()
}

// gone answers a letter about a view that is over, for its sender.
func (s *Site) gone(l membership.Letter) membership.Letter {
	return membership.Letter{Kind: membership.Gone, View: l.View, Num: l.Num, Text: "the ring has gone on without this member"}
}

// Connected tells that there is a connection with the process with this ID.
func (s *Site) Connected(now int64, id uint64) {
	if rank := s.view.Rank(id); rank >= 0 && !s.out {
		s.connected |= 1 << rank
		s.agreement.Reachable(now, rank)
		s.agreement.Tell()
		s.collect()
	}
}

// Disconnected tells that there is no connection any more: a process that is
// killed is noticed by that at once.
func (s *Site) Disconnected(now int64, id uint64) {
	if rank := s.view.Rank(id); rank >= 0 && !s.out {
		s.connected &^= 1 << rank
		s.agreement.Suspect(now, rank, membership.Crashed)
		s.collect()
	}
}
