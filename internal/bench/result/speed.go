package result

import "cmp"

// Speed is how fast messages were delivered, sent as fast as the level takes them.
type Speed struct {
	MsgsPerS    float64   `json:"msgs_per_s"` // delivered at the slowest member
	MBPerS      float64   `json:"mb_per_s"`   // the same, 10^6 bytes of payload
	MemberRates []float64 `json:"member_msgs_per_s"`
	CPUUsPerMsg float64   `json:"cpu_us_per_msg"` // all processes, per message delivered at one
	Messages    uint64    `json:"messages"`       // sent
	Lost        uint64    `json:"lost_messages"`  // sent and not delivered at the worst member: only raw may
}

// Drops counts packets, at all members.
type Drops struct {
	Dropped       uint64  `json:"dropped_packets"`          // that found a receive buffer full
	KernelDropped *uint64 `json:"kernel_dropped_datagrams"` // as UDP counts them where members meet, others' too; null if it does not tell
	Retransmitted uint64  `json:"retransmitted_packets"`    // sent again
}

// Add returns both together.
func (d Drops) Add(o Drops) Drops {
	sum := Drops{Dropped: d.Dropped + o.Dropped, KernelDropped: cmp.Or(d.KernelDropped, o.KernelDropped), Retransmitted: d.Retransmitted + o.Retransmitted}
	if d.KernelDropped != nil && o.KernelDropped != nil {
		both := *d.KernelDropped + *o.KernelDropped
		sum.KernelDropped = &both
	}
	return sum
}
