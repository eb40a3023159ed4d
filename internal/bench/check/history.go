package check

// Entry is one delivery of a history.
type Entry struct {
	Sender int    `json:"sender"`
	Seq    uint64 `json:"seq"`
}

// History is a stretch of a member's deliveries; From is the place of the first
// in the member's order, counted from 0.
type History struct {
	From    uint64  `json:"from"`
	Entries []Entry `json:"entries"`
}

// Range returns the deliveries at places from up to and without to, as far as
// they happened and are still kept.
func (l *Log) Range(from, to uint64) History {
	if kept := uint64(len(l.history)); l.total > kept {
		from = max(from, l.total-kept)
	}
	to = min(to, l.total)
	h := History{From: from}
	for at := from; at < to; at++ {
		h.Entries = append(h.Entries, l.entry(at))
	}
	return h
}

// Find returns the place of message seq of a sender in the order, and whether it
// is among the deliveries kept.
func (l *Log) Find(sender int, seq uint64) (at uint64, ok bool) {
	oldest := uint64(0)
	if kept := uint64(len(l.history)); l.total > kept {
		oldest = l.total - kept
	}
	for at := l.total; at > oldest; at-- {
		if e := l.entry(at - 1); e.Sender == sender && e.Seq == seq {
			return at - 1, true
		}
	}
	return 0, false
}

// entry unpacks the delivery at a place that is kept. The high bits of its
// sequence number come from how many of that sender's have been delivered since.
func (l *Log) entry(at uint64) Entry {
	packed := l.history[at&uint64(len(l.history)-1)]
	sender := int(packed >> seqBits)
	behind := (l.delivered[sender] - uint64(packed)) & seqMask
	return Entry{Sender: sender, Seq: l.delivered[sender] - behind}
}

// FirstDifference returns the place of the first delivery at which two histories
// of the same stretch differ, also if one ends before the other.
func FirstDifference(a, b History) (at uint64, differ bool) {
	at = max(a.From, b.From)
	for ; ; at++ {
		i, j := at-a.From, at-b.From
		endA, endB := i >= uint64(len(a.Entries)), j >= uint64(len(b.Entries))
		switch {
		case endA && endB:
			return 0, false
		case endA || endB || a.Entries[i] != b.Entries[j]:
			return at, true
		}
	}
}

// CompareDigests finds the first block at which the members' orders differ, and
// a member (by index) that differs there from member 0.
func CompareDigests(digests [][]uint64) (block, member int, differ bool) {
	for i, d := range digests {
		at := firstUnequal(digests[0], d)
		if at >= 0 && (!differ || at < block) {
			block, member, differ = at, i, true
		}
	}
	return block, member, differ
}

// firstUnequal returns the first index at which a and b differ or one has ended; -1 if
// they are equal.
func firstUnequal(a, b []uint64) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// Cut returns up to n of h's deliveries from a place on.
func (h History) Cut(from uint64, n int) History {
	from = max(from, h.From)
	rest := h.Entries[min(from-h.From, uint64(len(h.Entries))):]
	return History{From: from, Entries: rest[:min(n, len(rest))]}
}
