// Package membership holds views and the pure protocol that agrees on them. A
// view is a value: everything that the data plane does belongs to exactly one.
package membership

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// MaxMembers bounds a view. Rows and records are vectors with one entry per
// member and must fit into the smallest segment together.
const MaxMembers = 64

// Member is one process in a view.
type Member struct {
	ID         uint64         // random, new at every start of the process: an incarnation
	Since      int64          // start, in ns of the Unix clock
	Joined     uint64         // number of the first view that it was in; 0 before that
	Name       string         // for people; at most MaxName bytes
	Addr       netip.AddrPort // unicast address of the data plane (UDP)
	Control    netip.AddrPort // address of the control plane (TCP)
	RecvBuffer uint32         // kernel receive buffer, bytes of kernel memory
	Segment    uint16         // largest packet it can send and receive, bytes
}

// MaxName bounds Member.Name, in bytes.
const MaxName = 64

// Older orders members by age: by the view that they joined in and, among those
// who joined together, by the start of their processes, the ID breaking ties. Rank
// 0 of a view is the oldest, its natural leader. A new member is younger than all
// who are there, whatever its clock says.
func Older(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Joined, b.Joined), cmp.Compare(a.Since, b.Since), cmp.Compare(a.ID, b.ID))
}

// View is who is in the ring, by rank, between two changes of membership.
type View struct {
	Ring    uint64   // identity of the ring: the key of its first view
	Founded int64    // when its oldest founder started, ns of the Unix clock
	Num     uint64   // counts views of one ring, from 1
	Members []Member // by rank: age, oldest first
}

// Key identifies a view on the wire: a hash over its number and its members'
// incarnations, so that views of rings that formed apart never look alike.
func (v View) Key() uint64 {
	b := binary.LittleEndian.AppendUint64(nil, v.Num)
	for _, m := range v.Members {
		b = binary.LittleEndian.AppendUint64(b, m.ID)
	}
	return xxhash.Sum64(b)
}

// Rank returns the rank of the member with this ID, or -1.
func (v View) Rank(id uint64) int {
	return slices.IndexFunc(v.Members, func(m Member) bool { return m.ID == id })
}

// Joined returns the ranks of the members for whom this view is the first.
func (v View) Joined() (ranks []int) {
	for r, m := range v.Members {
		if m.Joined == v.Num {
			ranks = append(ranks, r)
		}
	}
	return ranks
}

// Majority returns how many members are more than half of the view.
func (v View) Majority() int { return len(v.Members)/2 + 1 }

// Segment returns the largest packet that every member can take, in bytes.
func (v View) Segment() int {
	least := v.Members[0].Segment
	for _, m := range v.Members {
		least = min(least, m.Segment)
	}
	return int(least)
}

// RecvBuffer returns the smallest kernel receive buffer in the view, in bytes
// of kernel memory: the budget that all senders' packets in flight share.
func (v View) RecvBuffer() int {
	least := v.Members[0].RecvBuffer
	for _, m := range v.Members {
		least = min(least, m.RecvBuffer)
	}
	return int(least)
}

// Local tells whether all members are on one host, as their addresses are of its
// loopback: their packets are never on a wire.
func (v View) Local() bool {
	for _, m := range v.Members {
		if !m.Addr.Addr().IsLoopback() {
			return false
		}
	}
	return true
}

// Validate returns an error that names what is wrong with the view, if anything:
// its size, its order by age, a repeated ID.
func (v View) Validate() error {
	if n := len(v.Members); n == 0 || n > MaxMembers {
		return fmt.Errorf("membership: view %d has %d members, want 1 to %d", v.Num, n, MaxMembers)
	}
	for i := 1; i < len(v.Members); i++ {
		if Older(v.Members[i-1], v.Members[i]) >= 0 {
			return fmt.Errorf("membership: view %d: rank %d is not older than rank %d", v.Num, i-1, i)
		}
	}
	seen := make(map[uint64]bool, len(v.Members))
	for i, m := range v.Members {
		if seen[m.ID] {
			return fmt.Errorf("membership: view %d: rank %d repeats ID %016x", v.Num, i, m.ID)
		}
		seen[m.ID] = true
	}
	return nil
}

// Never is the due time, ns, of what waits for others only.
const Never = 1<<63 - 1
