package report

import (
	"fmt"
	"strings"

	"cohort/internal/bench/result"
	"cohort/internal/bench/stat"
)

// Axes that several figures have.
var (
	sizes    = axis{label: "message size"}
	rates    = axis{label: "messages per second", log: true}
	cpu      = axis{label: "CPU per message, µs", log: true}
	oneWay   = axis{label: "latency, µs", log: true}
	quantile = axis{label: "percentile (each step is one more nine)", log: true, name: nines}
)

// reached says what whiskers are.
func reached(r *result.Run) string {
	if r.Settings.Runs < 2 {
		return "Of one run: how far it can be trusted is not known."
	}
	return fmt.Sprintf("Medians of %d runs; whiskers are the %.0f %% interval of the median, on bars cut at twice the highest bar.",
		r.Settings.Runs, 100*stat.Confident(r.Settings.Runs))
}

// ofRun draws run, and peers beside levels of the engine.
func ofRun(r *result.Run) (all []figure) {
	var senders []string
	for i := range r.Rows {
		place(&senders, sending(r.Rows[i].Senders, r.Rows[i].Members))
	}
	for _, who := range senders {
		id := short(who)
		of := func(id, title, figure, note string, y axis, bars bool) {
			all = append(all, byLevel(r, who, id, title+", "+who, figure, note, y, bars))
		}
		of("cost-"+id, "What each level leaves of the bare sockets' throughput", "ratio_raw",
			"1 is raw: the same sockets without a protocol. "+reached(r), axis{label: "throughput, raw = 1", zero: true}, true)
		of("fbcast-"+id, "Throughput of each level in relation to fbcast", "ratio_fbcast", reached(r), axis{label: "throughput, fbcast = 1", zero: true}, true)
		of("throughput-"+id, "Throughput of each level by message size", "msgs_per_s", "Delivered at the slowest member. "+reached(r), rates, false)
		of("cpu-"+id, "CPU time of all processes per message", "cpu_us_per_msg", "At full speed, for a message delivered at every member. "+reached(r), cpu, false)
		of("p50-"+id, "Median latency at the offered load", "p50_us", offered(r)+reached(r), oneWay, false)
		of("p99-"+id, "99th percentile of latency at the offered load", "p99_us", offered(r)+reached(r), oneWay, false)
	}
	return append(all, curves(r)...)
}

func offered(r *result.Run) string {
	return fmt.Sprintf("At %s messages a second, or at half of what the level carries if that is less; from when a message was due. ", plain(r.Settings.LoadMsgsPerS))
}

// byLevel is one figure of all rows with so many senders, by size.
func byLevel(r *result.Run, who, id, title, name, note string, y axis, bars bool) figure {
	f := figure{id: id, title: title, note: note, x: sizes, y: y, bars: bars}
	for i := range r.Rows {
		row := &r.Rows[i]
		v, ok := row.Figure(name)
		if sending(row.Senders, row.Members) != who || !ok {
			continue
		}
		p := point{x: float64(place(&f.categories, result.Bytes(row.SizeBytes))), y: v.Value}
		if v.Interval != nil {
			p.lo, p.hi = v.Interval.Lo, v.Interval.Hi
		}
		f.series = add(f.series, row.Level, p)
	}
	return f
}

// curves draws the distribution of latency, a figure for each size and number of senders.
func curves(r *result.Run) (all []figure) {
	for i := range r.Rows {
		row := &r.Rows[i]
		what := result.Bytes(row.SizeBytes) + ", " + sending(row.Senders, row.Members)
		all = addCurve(all, "percentiles-"+short(what), "Latency percentiles under load, "+what, offered(r)+"All runs together.", row.Level, &row.Latency)
	}
	for i := range r.Idle {
		row := &r.Idle[i]
		what := result.Bytes(row.SizeBytes)
		all = addCurve(all, "idle-"+slug(what), "Latency percentiles of one message at a time on an idle group, "+what,
			"From the call that sends to delivery. Raw here is plain blocking sockets.", row.Level, &row.Latency)
	}
	return all
}

// addCurve adds a level's distribution to the figure of that name, which is made if there is none.
func addCurve(all []figure, id, title, note, level string, l *result.Latency) []figure {
	if len(l.Percentiles) == 0 {
		return all
	}
	s := series{name: level}
	for _, p := range l.Percentiles {
		if p.P < 100 {
			s.points = append(s.points, point{x: 1 / (1 - p.P/100), y: p.Us})
		}
	}
	for i := range all {
		if all[i].id == id {
			all[i].series = append(all[i].series, s)
			return all
		}
	}
	return append(all, figure{id: id, title: title, note: note, x: quantile, y: oneWay, joined: true, series: []series{s}})
}

// sending says how many members send.
func sending(senders, members int) string {
	return fmt.Sprintf("%d of %d members sending", senders, members)
}

// short is the slug of what ends in sending.
func short(what string) string { return strings.TrimSuffix(slug(what), "-members-sending") }
