// Package reach keeps whom a member's multicast reaches, so that what is for all can
// go to the others one by one. It is pure: times are arguments, in ns.
//
// Each member tells each other one, over the control plane, whether it hears that
// one's multicast. Until it says that it does, and after it has said that it does
// not any more, it is sent copies. So a mistake costs packets that come twice, and
// never a member. See docs/PROTOCOL.md, "Where multicast does not reach".
package reach

import (
	"fmt"
	"math/bits"

	"cohort/membership"
)

// Transport says how what is for all members travels.
type Transport int

const (
	// Auto uses multicast, and unicast to each member that does not hear it.
	Auto Transport = iota
	// Multicast sends to the group alone.
	Multicast
	// Fanout sends to each member by unicast, and to the group nothing.
	Fanout
)

// String names the transport in one word.
func (t Transport) String() string {
	switch t {
	case Auto:
		return "auto"
	case Multicast:
		return "multicast"
	case Fanout:
		return "fanout"
	}
	return fmt.Sprintf("Transport(%d)", int(t))
}

// Valid tells whether there is such a transport.
func (t Transport) Valid() bool { return t >= Auto && t <= Fanout }

// probeEvery is how often something goes to the group though nobody is known to hear
// it, ns: a network may begin to carry multicast.
const probeEvery = 1_000_000_000

// Reach is whom this member's multicast reaches. It is not safe for concurrent use.
type Reach struct {
	how    Transport
	grace  int64
	hear   map[uint64]bool // who says that it hears this member, of those connected
	peers  []peer          // by rank
	others uint64          // bit per rank of the view, without this member
	heard  uint64          // of them, who hear
	probed int64           // when the group was last sent to though nobody hears
	due    int64           // when Notes has something to say
}

// peer is one member of the view.
type peer struct {
	id    uint64
	since int64 // since when it does not hear, as far as that is known
	lost  bool  // and Notes has said so
}

// New returns a Reach without a view. A member that does not hear for grace ns is one
// that multicast does not reach.
func New(how Transport, grace int64) *Reach {
	return &Reach{how: how, grace: grace, hear: map[uint64]bool{}, probed: -probeEvery, due: membership.Never}
}

// View begins a view. What is known of its members from before stays.
func (r *Reach) View(now int64, v membership.View, self int) {
	old := r.peers
	r.peers, r.others, r.heard = make([]peer, len(v.Members)), 0, 0
	for rank, m := range v.Members {
		r.peers[rank] = peer{id: m.ID, since: now}
		for _, p := range old {
			if p.id == m.ID {
				r.peers[rank] = p
			}
		}
		if rank == self {
			continue
		}
		r.others |= 1 << rank
		if r.hear[m.ID] {
			r.heard |= 1 << rank
		}
	}
	r.due = now
}

// Says takes the word of a connected process on whether it hears this member's
// multicast. It need not be a member yet.
func (r *Reach) Says(now int64, id uint64, hears bool) {
	if hears {
		r.hear[id] = true
	} else {
		delete(r.hear, id)
	}
	rank := r.rank(id)
	if rank < 0 || r.heard>>rank&1 != 0 == hears {
		return
	}
	r.heard ^= 1 << rank
	r.peers[rank].since = now
	r.due = now
}

// Gone forgets what a process has said: its connection has ended, or is a new one.
func (r *Reach) Gone(now int64, id uint64) { r.Says(now, id, false) }

func (r *Reach) rank(id uint64) int {
	for rank := range r.peers {
		if r.peers[rank].id == id && r.others>>rank&1 != 0 {
			return rank
		}
	}
	return -1
}

// Copies returns the ranks, a bit each, that what is for all is sent to one by one.
func (r *Reach) Copies() uint64 {
	switch r.how {
	case Multicast:
		return 0
	case Fanout:
		return r.others
	}
	return r.others &^ r.heard
}

// Group tells whether the next train for all goes to the group, besides. Where nobody
// hears it one now and then does.
func (r *Reach) Group(now int64) bool {
	switch {
	case r.how == Multicast:
		return true
	case r.how == Fanout:
		return false
	case r.heard != 0 || r.others == 0:
		return true
	case now-r.probed < probeEvery:
		return false
	}
	r.probed = now
	return true
}

// Reaches tells whether the member with this rank hears what goes to the group.
func (r *Reach) Reaches(rank int) bool { return r.how != Fanout && r.heard>>rank&1 != 0 }

// Lost returns the ranks, a bit each, that multicast does not reach, as Notes has said.
func (r *Reach) Lost() (ranks uint64) {
	for m := r.others; m != 0; m &= m - 1 {
		if rank := bits.TrailingZeros64(m); r.peers[rank].lost {
			ranks |= 1 << rank
		}
	}
	return ranks
}

// Notes returns the ranks, a bit each, that multicast has turned out not to reach since
// the last call, and those that it reaches again. It is for people: copies do not wait
// for it. Where Fanout is asked for nobody is lost.
func (r *Reach) Notes(now int64) (lost, found uint64) {
	if now < r.due || r.how == Fanout {
		return 0, 0
	}
	r.due = membership.Never
	for m := r.others; m != 0; m &= m - 1 {
		rank := bits.TrailingZeros64(m)
		p := &r.peers[rank]
		switch hears := r.heard>>rank&1 != 0; {
		case hears && p.lost:
			p.lost = false
			found |= 1 << rank
		case hears || p.lost:
		case now-p.since > r.grace:
			p.lost = true
			lost |= 1 << rank
		default:
			r.due = min(r.due, p.since+r.grace+1)
		}
	}
	return lost, found
}

// Due returns when Notes must be called at the latest.
func (r *Reach) Due() int64 {
	if r.how == Fanout {
		return membership.Never
	}
	return r.due
}
