package groups

import (
	"math/bits"
	"strings"
)

// Order is the ranks in the ring of a group's members by their age in the group, a byte
// each. It is empty where that is their age in the ring too, as it is in most groups: so
// that many of them take no memory for it. Members that stay in a ring keep their order.
type Order string

// Ranks returns the ranks in the ring of these members, by age in the group.
func (o Order) Ranks(members uint64) []byte {
	list := make([]byte, 0, bits.OnesCount64(members))
	if o != "" {
		return append(list, o...)
	}
	for ; members != 0; members &= members - 1 {
		list = append(list, byte(bits.TrailingZeros64(members)))
	}
	return list
}

// rank returns the place of the one with this rank in the ring.
func (o Order) rank(members uint64, ring int) int {
	if o == "" {
		return bits.OnesCount64(members & (1<<ring - 1))
	}
	return strings.IndexByte(string(o), byte(ring))
}

// join adds the one whose bit this is to the members.
func (o Order) join(members, bit uint64) Order {
	if o == "" && members < bit {
		return o
	}
	return Order(append(o.Ranks(members), byte(bits.TrailingZeros64(bit))))
}

// keep leaves these members.
func (o Order) keep(members uint64) Order {
	return o.filter(func(r byte) int { return int(r) | -int(^members>>r&1) })
}

// move renumbers the ranks; those that become -1 are gone.
func (o Order) move(to []int) Order {
	return o.filter(func(r byte) int { return to[r] })
}

// filter has each rank become another one, or, if that is negative, go.
func (o Order) filter(becomes func(byte) int) Order {
	if o == "" {
		return o
	}
	list, ascending := make([]byte, 0, len(o)), true
	for _, r := range []byte(o) {
		if to := becomes(r); to >= 0 {
			ascending = ascending && (len(list) == 0 || int(list[len(list)-1]) < to)
			list = append(list, byte(to))
		}
	}
	if ascending {
		return ""
	}
	return Order(list)
}

// fits tells whether this may be the order of these members.
func (o Order) fits(members uint64) bool {
	if o == "" {
		return true
	}
	seen, last, ascending := uint64(0), byte(0), true
	for _, r := range []byte(o) {
		if r >= 64 || seen>>r&1 == 1 {
			return false
		}
		seen |= 1 << r
		ascending = ascending && r >= last
		last = r
	}
	return seen == members && !ascending
}
