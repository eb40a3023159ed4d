package report

import (
	"fmt"

	"cohort/internal/bench/result"
)

// ofThroughput draws the sweeps over sizes, senders and members.
func ofThroughput(t *result.Throughput) (all []figure) {
	const note = "Sent as fast as the level takes it, delivered at the slowest member."
	var bySize, byBytes, bySenders, byMembers []figure
	for _, r := range t.Rows {
		who, size := sending(r.Senders, r.Members), result.Bytes(r.SizeBytes)
		bySize = named(bySize, figure{id: "messages-" + short(who), title: "Messages per second by size, " + who, note: note, x: sizes, y: rates}, r.Level, size, r.MsgsPerS)
		byBytes = named(byBytes, figure{id: "bytes-" + short(who), title: "Payload per second by message size, " + who, note: note, x: sizes,
			y: axis{label: "MB per second (10⁶ bytes)", log: true}}, r.Level, size, r.MBPerS)
		bySenders = named(bySenders, figure{id: fmt.Sprintf("senders-%s-of-%d", slug(size), r.Members), title: fmt.Sprintf("Messages per second by senders, %s, %d members", size, r.Members),
			note: note, x: axis{label: "members that send"}, y: rates}, r.Level, fmt.Sprint(r.Senders), r.MsgsPerS)
		byMembers = named(byMembers, figure{id: fmt.Sprintf("members-%s-%d", slug(size), r.Senders), title: fmt.Sprintf("Messages per second by members, %s, %d sending", size, r.Senders),
			note: note, x: axis{label: "members"}, y: rates}, r.Level, fmt.Sprint(r.Members), r.MsgsPerS)
	}
	for _, figures := range [][]figure{byBytes, bySize, bySenders, byMembers} {
		for _, f := range figures {
			if len(f.categories) > 1 {
				all = append(all, f)
			}
		}
	}
	return all
}

// named adds a value to the figure that is like f, at a named place along x.
func named(all []figure, f figure, level, x string, y float64) []figure {
	at := -1
	for i := range all {
		if all[i].id == f.id {
			at = i
		}
	}
	if at < 0 {
		f.joined = true
		all, at = append(all, f), len(all)
	}
	g := &all[at]
	g.series = add(g.series, level, point{x: float64(place(&g.categories, x)), y: y})
	return all
}

// ofLatency draws latency against load, and the distribution at half of what a level carries.
func ofLatency(c *result.Curve) (all []figure) {
	const note = "From when a message was due. Where a level is saturated, latency tells how long the overload lasted."
	offered := axis{label: "messages per second offered", log: true}
	var half []figure
	for i := range c.Rows {
		p := &c.Rows[i]
		size := result.Bytes(p.SizeBytes)
		for _, of := range []struct {
			name string
			us   float64
		}{{"50th", p.P50Us}, {"99th", p.P99Us}, {"99.9th", p.P999Us}} {
			id := slug("load-" + of.name + "-" + size)
			at := len(all)
			for k := range all {
				if all[k].id == id {
					at = k
				}
			}
			if at == len(all) {
				all = append(all, figure{id: id, title: "Latency against load: " + of.name + " percentile, " + size, note: note, x: offered, y: oneWay, joined: true})
			}
			all[at].series = add(all[at].series, p.Level, point{x: p.OfferedMsgsPerS, y: of.us})
		}
		if p.Percent != nil && *p.Percent == 50 {
			half = addCurve(half, "percentiles-"+slug(size), "Latency percentiles at half of what each level carries, "+size, note, p.Level, &p.Latency)
		}
	}
	return append(all, half...)
}

// ofScale draws what more members and more groups cost.
func ofScale(s *result.Scaling) (all []figure) {
	const one = "All members are processes of this one machine, and share its cores."
	const ring = "Groups of one ring; messages go to them in turn."
	members, groups := axis{label: "members"}, axis{label: "groups"}
	add := func(id, title, note string, x axis, y axis, level, at string, v float64) {
		all = named(all, figure{id: id, title: title, note: note, x: x, y: y}, level, at, v)
	}
	for _, r := range s.Rows {
		at := fmt.Sprint(r.Members)
		add("members-rate", "Throughput by members", one, members, rates, r.Level, at, r.MsgsPerS)
		add("members-cpu", "CPU time per delivery by members", one, members, axis{label: "CPU per delivery, µs", log: true}, r.Level, at, r.CPUUsPerDelivery)
		add("members-p50", "Median latency by members", one, members, oneWay, r.Level, at, r.P50Us)
		add("members-p99", "99th percentile of latency by members", one, members, oneWay, r.Level, at, r.P99Us)
	}
	for _, g := range s.Groups {
		at := plain(float64(g.Groups))
		add("groups-rate", "Throughput by groups", ring, groups, rates, g.Level, at, g.MsgsPerS)
		add("groups-cpu", "CPU time per message by groups", ring, groups, cpu, g.Level, at, g.CPUUsPerMsg)
		add("groups-join", "Time to join a group, by groups", "Each member joins all of them, up to 64 at a time.", groups, axis{label: "per group, µs", log: true}, g.Level, at, g.JoinUs)
	}
	return all
}
