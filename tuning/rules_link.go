package tuning

import (
	"fmt"
	"strings"
)

func link(f *Facts) (found []Finding) {
	l := &f.Link
	if l.MTU == 0 {
		return nil
	}
	if !l.Up {
		found = append(found, Finding{ID: "link-down", Severity: Broken, Effect: 1000,
			Found: l.Name + " is down", Expected: "up", Why: "no node can start on it",
			Commands: []string{"ip link set " + l.Name + " up"}, Gain: notMeasured + "without it nothing works"})
	}
	if l.Loopback {
		return found
	}
	if !l.Multicast {
		found = append(found, Finding{ID: "no-multicast", Severity: Broken, Effect: 1000,
			Found: l.Name + " does not carry multicast", Expected: "the flag MULTICAST", Why: "no node can start on it",
			Commands: []string{"ip link set " + l.Name + " multicast on"},
			Gain:     notMeasured + "without it nothing works; where the network has no multicast, a unicast fan-out must take its place"})
	}
	if l.NoRoute {
		found = append(found, Finding{ID: "no-route", Severity: Note, Effect: 1,
			Found: "no route for multicast by " + l.Name, Expected: "none needed: the engine binds to the interface",
			Why:      "programs that do not say which interface they mean (ping, iperf) fail where the engine works",
			Commands: []string{"ip route add 224.0.0.0/4 dev " + l.Name}, Gain: "none"})
	}
	if l.Queues == 1 && f.Cores > 2 && l.Channels.Max > 1 {
		found = append(found, Finding{ID: "queues", Severity: Slow, Effect: 1.1,
			Found: fmt.Sprintf("%s has 1 queue of %d", l.Name, l.Channels.Max), Expected: "one for each two cores or so",
			Why:      "all packets are handled by the core that takes the card's interrupts",
			Commands: []string{fmt.Sprintf("ethtool -L %s combined %d", l.Name, min(l.Channels.Max, (f.Cores+1)/2))},
			Gain:     notMeasured + "one sender's packets stay on one queue, so that it helps with several senders only (kernel documentation, networking/scaling)"})
	}
	return found
}

// offloads wants trains to stay whole as far as possible. On lo and veth they
// always do.
func offloads(f *Facts) (found []Finding) {
	const measured = notMeasured + "trains cut the CPU time of a packet by 20 in namespaces (docs/TUNING.md)"
	for _, o := range []struct {
		name   string
		effect float64
		why    string
		gain   string
	}{
		{"rx-gro", 4, "without it each packet of a train climbs the stack alone", measured},
		{"tx-generic-segmentation", 4, "without it trains are cut before the queue instead of after", measured},
		{udpSegmentation, 1.1, "the kernel cuts trains itself, just before the driver", notMeasured + "a card that cuts trains spares a copy of each header"},
	} {
		on, known := f.Link.Features[o.name]
		if !known || on || f.Link.Loopback || o.name == udpSegmentation && mangles(f) {
			continue
		}
		severity := Slow
		if o.effect < 2 { // not every card can
			severity = Note
		}
		found = append(found, Finding{ID: o.name, Severity: severity, Effect: o.effect,
			Found: fmt.Sprintf("%s off on %s", o.name, f.Link.Name), Expected: "on", Why: o.why, Gain: o.gain,
		}.withFeature(f.Link.Name, o.name, true))
	}
	// Lists are for routers: a list reaches a socket as packets, not as a train.
	if f.Link.Features["rx-gro-list"] {
		found = append(found, Finding{ID: "rx-gro-list", Severity: Slow, Effect: 1.2,
			Found: "rx-gro-list on on " + f.Link.Name, Expected: "off",
			Why:  "packets are then gathered into lists, for forwarding, which a socket gets one by one again",
			Gain: notMeasured + "see the kernel's documentation of NETIF_F_GRO_FRAGLIST",
		}.withFeature(f.Link.Name, "rx-gro-list", false))
	}
	return found
}

func rings(f *Facts) (found []Finding) {
	for _, side := range []string{"rx", "tx"} {
		r := f.Link.Rings[side]
		want := min(r.Max, wantRing)
		if r.Now == 0 || r.Now >= want {
			continue
		}
		found = append(found, Finding{ID: side + "-ring", Severity: Slow, Effect: 1.2,
			Found: fmt.Sprintf("%s of %s has room for %d packets of at most %d", side, f.Link.Name, r.Now, r.Max), Expected: fmt.Sprintf("%d", want),
			Why:      "a train is up to 64 packets on the wire; a burst that finds no room is dropped by the card",
			Gain:     notMeasured + fmt.Sprintf("none until `ethtool -S %s` counts packets without a buffer", f.Link.Name),
			Commands: []string{fmt.Sprintf("ethtool -G %s %s %d", f.Link.Name, side, want)},
			Changes:  []Change{{Setting: ringSetting(f.Link.Name, side), Old: fmt.Sprint(r.Now), New: fmt.Sprint(want)}},
		})
	}
	return found
}

// bridges: snooping without anyone who asks forgets the groups after some minutes.
func bridges(f *Facts) (found []Finding) {
	for _, b := range f.Bridges {
		if !b.Snooping || b.Querier {
			continue
		}
		severity := Note // containers' own, often
		if b.Ours {
			severity = Slow
		}
		found = append(found, Finding{ID: "no-querier", Severity: severity, Effect: 50,
			Found: fmt.Sprintf("bridge %s snoops IGMP and does not query", b.Name), Expected: "a querier in the network, or no snooping",
			Why:  "without queries a switch that snoops forgets who is in a group after 260 s, and multicast stops there",
			Gain: notMeasured + "all or nothing (RFC 4541, section 2.1.1); another querier in the same network is as good",
		}.withFile("/sys/class/net/"+b.Name+"/bridge/multicast_querier", "0", "1"))
	}
	return found
}

// firewall looks for a filter of input that drops what nothing accepts. It reads
// the rules as a person does who is in a hurry, so it says "may".
func firewall(f *Facts) []Finding {
	if f.Link.Loopback {
		return nil
	}
	input, drops, accepts := false, false, false
	for line := range strings.Lines(f.Firewall) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "chain ") || line == "}":
			input = false
		case strings.Contains(line, "hook input"):
			input = true
			drops = drops || strings.Contains(line, "policy drop")
		case input && (line == "drop" || strings.HasPrefix(line, "reject") || strings.HasPrefix(line, "counter") && strings.HasSuffix(line, " drop")):
			drops = true
		}
		if strings.Contains(line, "accept") && !strings.Contains(line, "policy accept") &&
			(strings.Contains(line, "224.0.0.0/4") || strings.Contains(line, "daddr 239.") || strings.Contains(line, "pkttype multicast")) {
			accepts = true
		}
	}
	if !drops || accepts {
		return nil
	}
	return []Finding{{ID: "firewall", Severity: Slow, Effect: 40,
		Found: "the packet filter drops input that nothing accepts, and no rule accepts multicast", Expected: "UDP to the group, and UDP and TCP between the members, accepted",
		Why: "members would not find each other",
		Commands: []string{"nft insert rule inet filter input ip daddr 239.0.0.0/8 accept",
			"nft insert rule inet filter input ip saddr MEMBERS accept # their addresses"},
		Gain: notMeasured + "all or nothing: doctor --peer shows whether packets arrive; names of table and chain may differ"}}
}
