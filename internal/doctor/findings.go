package doctor

import (
	"fmt"

	"cohort/tuning"
)

// Limits past which a path needs attention.
const (
	muchLost      = 0.005 // of packets that were sent slowly: more than an idle network loses
	muchReordered = 0.01  // each of them asks for a repair that was not needed
	trainsMangled = 0.5   // of packets in trains, where lone ones arrive
)

const seen = "doctor --peer again"

// Findings says what is to be said of a path.
func (p *Path) Findings() (all []tuning.Finding) {
	for _, out := range []bool{true, false} {
		all = append(all, p.arrival(out)...)
	}
	for _, w := range p.Ways {
		if w.Tally.Received > 0 {
			all = append(all, p.size(w)...)
			all = append(all, p.trains(w)...)
			all = append(all, p.quality(w)...)
		}
	}
	tuning.Sort(all)
	return all
}

// ends names a direction for people.
func (p *Path) ends(out bool) (from, to string) {
	if out {
		return fmt.Sprintf("here (%v)", p.Local), p.Peer.String()
	}
	return p.Peer.String(), fmt.Sprintf("here (%v)", p.Local)
}

func (p *Path) way(multicast, out bool) *Way {
	for i := range p.Ways {
		if w := &p.Ways[i]; w.Multicast == multicast && w.Out == out {
			return w
		}
	}
	return &Way{}
}

// arrival is about packets that do not arrive at all in one direction.
func (p *Path) arrival(out bool) []tuning.Finding {
	m, u := p.way(true, out), p.way(false, out)
	from, to := p.ends(out)
	receiver := p.Peer
	sender := p.Local
	if !out {
		receiver, sender = sender, receiver
	}
	accept := func(match string) string {
		return fmt.Sprintf("nft insert rule inet filter input %s udp accept # on %v; table and chain as they are there", match, receiver)
	}
	switch {
	case u.Sent > 0 && u.Tally.Received == 0:
		return []tuning.Finding{{ID: "unicast-lost", Severity: tuning.Broken, Effect: 1000,
			Found: fmt.Sprintf("no unicast UDP arrives from %s at %s, though TCP does", from, to), Expected: "all of it",
			Why:      "lone packets and repairs go by unicast; members never become one ring without",
			Commands: []string{accept(fmt.Sprintf("ip saddr %v ip protocol", sender))},
			Gain:     "all or nothing: " + seen}}
	case m.Sent > 0 && m.Tally.Received == 0:
		return []tuning.Finding{{ID: "multicast-lost", Severity: tuning.Broken, Effect: 1000,
			Found:    fmt.Sprintf("multicast does not arrive from %s at %s (%v), though unicast does", from, to, p.Group),
			Expected: "all of it",
			Why: "members find each other and send by multicast. Either a firewall drops it at the receiver; or a switch between them snoops IGMP and nobody " +
				"queries, so that it has forgotten who listens; or the network has none, as most clouds'; or a router is between them, since packets have a TTL of 1. " +
				"Where none of that can be put right, a unicast fan-out must take its place as the engine's transport",
			Commands: []string{
				accept(fmt.Sprintf("ip daddr %v ip protocol", p.Group.Addr())),
				"ip link set dev BRIDGE type bridge mcast_querier 1 # on a host that is the switch, or a querier on one switch of the network",
				"ip link set dev BRIDGE type bridge mcast_snooping 0 # or else: no snooping",
			},
			Gain: "all or nothing: " + seen}}
	}
	return nil
}

func castName(w Way) string {
	if w.Multicast {
		return "multicast"
	}
	return "unicast"
}

func (p *Path) size(w Way) []tuning.Finding {
	if w.Largest == 0 || w.Largest >= w.Wanted {
		return nil
	}
	from, to := p.ends(w.Out)
	return []tuning.Finding{{ID: "path-mtu", Severity: tuning.Broken, Effect: 500,
		Found:    fmt.Sprintf("%s from %s to %s passes up to %d bytes a packet, while both interfaces allow %d", castName(w), from, to, w.Largest, w.Wanted),
		Expected: "what the interfaces allow",
		Why:      "the engine makes packets as large as its interface allows, so small messages arrive and large ones are lost for good; nobody reports a multicast packet that is too large",
		Commands: []string{fmt.Sprintf("ip link set dev INTERFACE mtu %d # on every member; or Config.Segment %d in every member", w.Largest, w.Largest-udpOverhead)},
		Gain:     "all or nothing for messages that fill a packet: " + seen}}
}

func (p *Path) trains(w Way) []tuning.Finding {
	if w.TrainPackets == 0 {
		return nil
	}
	from, to := p.ends(w.Out)
	lost := 1 - float64(w.TrainTally.Received)/float64(w.TrainPackets)
	alone := 1 - float64(w.Tally.Received)/float64(w.Sent)
	if w.TrainTally.Changed == 0 && (lost < trainsMangled || alone > lost/2) {
		return nil
	}
	sender := p.Local
	if !w.Out {
		sender = p.Peer
	}
	return []tuning.Finding{{ID: "trains-mangled", Severity: tuning.Broken, Effect: 100,
		Found: fmt.Sprintf("of %d packets in trains by %s from %s to %s %d arrived and %d were changed, while %d of %d lone ones did",
			w.TrainPackets, castName(w), from, to, w.TrainTally.Received, w.TrainTally.Changed, w.Tally.Received, w.Sent),
		Expected: "all of them, unchanged",
		Why:      "the sender's kernel (7.0.0 to 7.1.4 are known), its host's or its card cuts trains wrongly",
		Commands: []string{fmt.Sprintf("ethtool -K INTERFACE tx-udp-segmentation off # on %v; or Config.Trains Off", sender)},
		Gain:     "see " + seen + "; others report a factor of 200 (github.com/tailscale/tailscale issue 21335)"}}
}

// quality is about packets that arrive, but not all, or not in order.
func (p *Path) quality(w Way) (all []tuning.Finding) {
	from, to := p.ends(w.Out)
	if lost := w.Sent - w.Tally.Received; float64(lost) > muchLost*float64(w.Sent) {
		all = append(all, tuning.Finding{ID: "loss", Severity: tuning.Slow, Effect: 5,
			Found:    fmt.Sprintf("%d of %d packets of %s from %s to %s were lost, at %d a millisecond", lost, w.Sent, castName(w), from, to, perPace),
			Expected: "none in an idle network",
			Why:      "each has to be asked for and sent again before anything after it is delivered",
			Commands: []string{"ethtool -S INTERFACE # on both hosts: which counter of drops or errors grows", "nstat -az UdpRcvbufErrors UdpInErrors IpInDiscards"},
			Gain:     "not measured here; find where they are lost first"})
	}
	if n := w.Tally.Reordered; float64(n) > muchReordered*float64(w.Sent) {
		all = append(all, tuning.Finding{ID: "reordering", Severity: tuning.Slow, Effect: 2,
			Found:    fmt.Sprintf("%d of %d packets of %s from %s to %s came after a later one", n, w.Sent, castName(w), from, to),
			Expected: "none: one flow keeps its order on one path",
			Why:      "what is late is asked for as if it were lost",
			Commands: []string{"ip -d link show INTERFACE # a bond in mode balance-rr reorders; 802.3ad does not"},
			Gain:     "not measured here; kernel documentation, networking/bonding"})
	}
	return all
}
