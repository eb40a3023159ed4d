package failover

import (
	"cohort/internal/bench/clock"
	"cohort/internal/bench/result"
)

// Bucket is the time over which throughput is counted, ns.
const Bucket = int64(10_000_000)

// beforeFor is how long before a fault throughput is counted for comparison, ns.
const beforeFor = 30 * Bucket

// enough is the part of the throughput before a fault that counts as recovered.
const enough = 0.9

// arrival is one delivery, as the application saw it.
type arrival struct {
	at   int64  // ns of package clock
	from string // name of the sender
}

// track is a member's deliveries, in order.
type track []arrival

// longestGap returns the longest time between two deliveries that follow each
// other, of which the second came after from and the first before until, and when
// it ended. Where nothing came after from there is no such gap: it has not ended.
func (t track) longestGap(from, until int64) (gap, end int64, ok bool) {
	for i := 1; i < len(t) && t[i-1].at < until; i++ {
		if d := t[i].at - t[i-1].at; t[i].at > from && d > gap {
			gap, end = d, t[i].at
		}
	}
	return gap, end, end > 0
}

// recovered returns the time from fault to the end of the first bucket, counted from
// the fault on, in which at least enough was delivered of what was before it. Only
// buckets that reach beyond the end of the gap count, and only messages of those
// who were not hit by the fault.
func (t track) recovered(fault, gapEnd int64, hit string) (ns int64, ok bool) {
	before, first := 0, max(gapEnd-fault, 0)/Bucket
	buckets := map[int64]int{}
	last := int64(-1) // the latest bucket that is over
	for _, a := range t {
		since := a.at - fault
		last = max(last, since/Bucket-1)
		switch {
		case a.from == hit:
		case since >= 0:
			buckets[since/Bucket]++
		case since >= -beforeFor:
			before++
		}
	}
	want := enough * float64(before) * float64(Bucket) / float64(beforeFor)
	for b := first; b <= last; b++ {
		if float64(buckets[b]) >= want {
			return (b + 1) * Bucket, true
		}
	}
	return 0, false
}

// timelineAfter bounds the buckets of a timeline from the fault on.
const timelineAfter = 200

// timeline returns what was delivered in each bucket from result.TimelineBefore before the
// fault to the last one that is over, of the mean of those before it. Only messages of
// those who were not hit by the fault count.
func (t track) timeline(fault int64, hit string) []float64 {
	const before = result.TimelineBefore
	first := fault - before*Bucket
	n := 0 // buckets that are over
	if len(t) > 0 {
		n = int(min(max((t[len(t)-1].at-first)/Bucket, 0), before+timelineAfter))
	}
	shares, mean := make([]float64, n), 0.0
	for _, a := range t {
		if b := (a.at - first) / Bucket; a.from != hit && a.at >= first && b < int64(n) {
			shares[b]++
			if b < before {
				mean += 1.0 / before
			}
		}
	}
	if mean == 0 {
		return nil
	}
	for b := range shares {
		shares[b] /= mean
	}
	return shares
}

// sight is a view of the group, as a handler was told of it.
type sight struct {
	at   int64 // ns of package clock
	size int   // members; 0 if the member was expelled or the group stands still
}

// firstOf returns when the first view of so many members came after a time.
func firstOf(views []sight, size int, since int64) (at int64, ok bool) {
	for _, v := range views {
		if v.at > since && v.size == size {
			return v.at, true
		}
	}
	return clock.Never, false
}

// after returns the sizes of the views that came after a time.
func after(views []sight, since int64) (sizes []int) {
	for _, v := range views {
		if v.at > since {
			sizes = append(sizes, v.size)
		}
	}
	return sizes
}
