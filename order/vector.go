package order

// Covers tells whether v reaches w in every entry: the comparison of vector
// timestamps (Fidge 1988, Mattern 1989), here with one entry per sender that
// counts its packets. A causal packet is deliverable where the delivered vector
// covers the one it carries (Birman, Schiper & Stephenson, 1991).
func Covers(v, w []uint64) bool {
	for k, x := range w {
		if v[k] < x {
			return false
		}
	}
	return true
}

// Raise sets v to the entry-wise maximum of v and w.
func Raise(v, w []uint64) {
	for k, x := range w {
		v[k] = max(v[k], x)
	}
}
