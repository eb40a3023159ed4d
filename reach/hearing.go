package reach

import (
	"net/netip"

	"cohort/membership"
)

// Hearing is whose multicast arrives here. A member that is alive multicasts a sign of
// life several times within the silence after which it is taken not to arrive any
// more, so what is lost on the way now and then is not mistaken for that. It is not
// safe for concurrent use.
type Hearing struct {
	silence int64
	ears    []ear // by rank
	last    int   // whom the last train was from
	news    bool
	due     int64
}

// ear is what is heard of one member.
type ear struct {
	id   uint64
	addr netip.AddrPort // invalid: this member itself
	ever bool           // something has come
	at   int64          // when it last did
	told bool           // that it is heard
}

// News is what a member is to be told: whether its multicast arrives here.
type News struct {
	To    uint64 // ID
	Hears bool
}

// NewHearing returns a Hearing without a view. Whose multicast does not come for
// silence ns is not heard any more.
func NewHearing(silence int64) *Hearing { return &Hearing{silence: silence, due: membership.Never} }

// View begins a view. What is known of its members from before stays.
func (h *Hearing) View(v membership.View, self int) {
	old := h.ears
	h.ears, h.last, h.news = make([]ear, len(v.Members)), 0, true
	for rank, m := range v.Members {
		h.ears[rank] = ear{id: m.ID, addr: m.Addr}
		for _, e := range old {
			if e.id == m.ID {
				h.ears[rank] = e
			}
		}
		if rank == self {
			h.ears[rank] = ear{id: m.ID}
		}
	}
}

// Multicast notes that something has come to the group from this address.
func (h *Hearing) Multicast(now int64, from netip.AddrPort) {
	if !from.IsValid() {
		return
	}
	if h.last >= len(h.ears) || h.ears[h.last].addr != from {
		if h.last = h.rank(from); h.last == len(h.ears) {
			return
		}
	}
	e := &h.ears[h.last]
	e.ever, e.at = true, now
	h.news = h.news || !e.told
}

// rank returns the rank of the member with this address; the number of members if
// there is none.
func (h *Hearing) rank(addr netip.AddrPort) int {
	for rank := range h.ears {
		if h.ears[rank].addr == addr {
			return rank
		}
	}
	return len(h.ears)
}

// Connected notes a new connection: at its other end nothing is known.
func (h *Hearing) Connected(id uint64) {
	for rank := range h.ears {
		if h.ears[rank].id == id {
			h.ears[rank].told, h.news = false, true
		}
	}
}

// News returns what members are to be told now, which is then taken to be told.
func (h *Hearing) News(now int64) (list []News) {
	if !h.news && now < h.due {
		return nil
	}
	h.news, h.due = false, membership.Never
	for rank := range h.ears {
		e := &h.ears[rank]
		hears := e.ever && now-e.at <= h.silence
		if hears != e.told {
			e.told = hears
			list = append(list, News{e.id, hears})
		}
		if hears {
			h.due = min(h.due, e.at+h.silence+1)
		}
	}
	return list
}

// Due returns when News must be called at the latest.
func (h *Hearing) Due() int64 { return h.due }
