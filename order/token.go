package order

// NextHolder decides who appends the record after the one that self is about to
// append. cut is the cut so far and totals has, per sender, its last packet with
// total-order messages; the senders that are past the cut are the ones that this
// record orders. The token goes to the next of them after self, round the ring:
// it stays with a lone sender (its data and their order leave in the same
// packet, one hop), rotates among several, and never goes to a member that has
// nothing to send.
func NextHolder(self int, cut, totals []uint64) int {
	n := len(cut)
	for i := 1; i <= n; i++ {
		if k := (self + i) % n; totals[k] > cut[k] {
			return k
		}
	}
	return self
}
