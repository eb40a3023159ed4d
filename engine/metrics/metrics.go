// Package metrics shows a node's counters to Prometheus. It stands apart from
// package engine so that a program that does not want Prometheus does not link it.
package metrics

import (
	"strings"

	"cohort/engine"

	"github.com/prometheus/client_golang/prometheus"
)

// Source is where the numbers come from: an [engine.Node].
type Source interface {
	Stats() engine.Stats
	GroupStats() []engine.GroupStats
}

// New returns a collector of the node's counters, cohort_*_total, and levels: the
// others. docs/OPERATIONS.md lists them. Messages delivered are also counted by group,
// for up to 32 of them. Each scrape reads the counters once, as of the end of the
// loop's last turn, and does not hold up the loop. labels are on every metric and
// may be nil; where a program has several nodes they must differ, for example by
// prometheus.Labels{"cluster": "orders", "name": "anna"}. A node that has been
// closed keeps its last numbers: unregister the collector to be rid of them.
func New(node Source, labels prometheus.Labels) prometheus.Collector {
	c := &collector{node: node, descs: make([]*prometheus.Desc, len(metrics))}
	for i, m := range metrics {
		c.descs[i] = prometheus.NewDesc("cohort_"+m.name, m.help, nil, labels)
	}
	c.perGroup = prometheus.NewDesc(groupName, groupHelp, []string{"group"}, labels)
	return c
}

type collector struct {
	node     Source
	descs    []*prometheus.Desc // in the order of metrics
	perGroup *prometheus.Desc
}

const (
	othersLabel = "(others)" // where groups are counted together

	groupName = "cohort_group_messages_delivered_total"
	groupHelp = "Messages handed to a group's handler or queue: of the 32 groups that were joined first, one by one, and of the others together."
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
	out <- c.perGroup
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.node.Stats()
	for i, m := range metrics {
		out <- prometheus.MustNewConstMetric(c.descs[i], m.kind, float64(m.value(&s))/m.unit())
	}
	byGroup := map[string]uint64{} // names may come to look alike
	for _, g := range c.node.GroupStats() {
		name := strings.ToValidUTF8(g.Group, "?")
		if name == "" {
			name = othersLabel
		}
		byGroup[name] += g.Delivered
	}
	for name, delivered := range byGroup {
		out <- prometheus.MustNewConstMetric(c.perGroup, counter, float64(delivered), name)
	}
}

// metric is one number of engine.Stats.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*engine.Stats) uint64
}

// unit returns what the value is divided by: it may be in ns, and metrics are in seconds.
func (m *metric) unit() float64 {
	if strings.HasSuffix(m.name, "_seconds_total") {
		return 1e9
	}
	return 1
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

var metrics = []metric{
	{"messages_sent_total", "Messages that this node put into packets.", counter, func(s *engine.Stats) uint64 { return s.MessagesSent }},
	{"messages_delivered_total", "Messages of the ring delivered here, whether or not this node is in their group.", counter, func(s *engine.Stats) uint64 { return s.MessagesDelivered }},
	{"packets_sent_total", "Packets of this node's stream sent, repeats not counted.", counter, func(s *engine.Stats) uint64 { return s.PacketsSent }},
	{"packets_received_total", "Packets of others' streams received, repeats included.", counter, func(s *engine.Stats) uint64 { return s.PacketsReceived }},
	{"sent_bytes_total", "Bytes of the packets sent.", counter, func(s *engine.Stats) uint64 { return s.BytesSent }},
	{"received_bytes_total", "Bytes of the packets received.", counter, func(s *engine.Stats) uint64 { return s.BytesReceived }},

	{"rows_sent_total", "Acknowledgements sent in packets of their own.", counter, func(s *engine.Stats) uint64 { return s.RowsSent }},
	{"rows_riding_total", "Acknowledgements sent in data packets.", counter, func(s *engine.Stats) uint64 { return s.RowsRiding }},
	{"records_total", "Ordering records learnt, this node's own included.", counter, func(s *engine.Stats) uint64 { return s.Records }},
	{"announcements_total", "Times that this node announced its last packet because others had not acknowledged it.", counter, func(s *engine.Stats) uint64 { return s.Announcements }},
	{"pauses_total", "Times that this node asked the senders to pause because it had too much undelivered.", counter, func(s *engine.Stats) uint64 { return s.Pauses }},

	{"pauses_seen_total", "Times that a member of the view, this node included, was seen to ask the senders to pause.", counter, func(s *engine.Stats) uint64 { return s.PausesSeen }},
	{"token_passes_total", "Times that the ordering token was seen to go from one member to another.", counter, func(s *engine.Stats) uint64 { return s.TokenPasses }},
	{"token_held_seconds_total", "Time for which this node held the ordering token.", counter, func(s *engine.Stats) uint64 { return s.TokenHeldNS }},

	{"naks_sent_total", "Requests for missing packets sent.", counter, func(s *engine.Stats) uint64 { return s.NAKsSent }},
	{"naks_received_total", "Requests for missing packets received.", counter, func(s *engine.Stats) uint64 { return s.NAKsReceived }},
	{"retransmitted_packets_total", "Packets sent again, this node's and others'.", counter, func(s *engine.Stats) uint64 { return s.Retransmitted }},
	{"repaired_packets_total", "Packets received after a later one of the same sender.", counter, func(s *engine.Stats) uint64 { return s.Repaired }},
	{"duplicate_packets_total", "Packets received that were here already.", counter, func(s *engine.Stats) uint64 { return s.Duplicates }},
	{"discarded_packets_total", "Packets of failed members discarded at the end of a view because their causal past was lost with them.", counter, func(s *engine.Stats) uint64 { return s.Discarded }},
	{"beyond_window_packets_total", "Packets dropped because they were too far ahead to be kept.", counter, func(s *engine.Stats) uint64 { return s.BeyondWindow }},
	{"kernel_dropped_packets_total", "Packets, or whole trains of them, that found the receive buffer full.", counter, func(s *engine.Stats) uint64 { return s.DroppedByKernel }},

	{"bad_packets_total", "Malformed packets dropped, those with a wrong checksum included.", counter, func(s *engine.Stats) uint64 { return s.BadPackets }},
	{"bad_checksum_packets_total", "Packets dropped for a wrong checksum.", counter, func(s *engine.Stats) uint64 { return s.BadChecksum }},
	{"bad_frames_total", "Malformed messages dropped out of intact packets.", counter, func(s *engine.Stats) uint64 { return s.BadFrames }},
	{"bad_beacons_total", "Packets dropped that were no beacons, in the guise of one.", counter, func(s *engine.Stats) uint64 { return s.BadBeacons }},
	{"other_version_packets_total", "Packets dropped for another version of the wire format.", counter, func(s *engine.Stats) uint64 { return s.OtherVersion }},
	{"other_cluster_packets_total", "Packets dropped for another cluster on the same multicast group.", counter, func(s *engine.Stats) uint64 { return s.OtherCluster }},
	{"other_view_packets_total", "Packets dropped for another view of the same cluster.", counter, func(s *engine.Stats) uint64 { return s.OtherView }},

	{"beacons_sent_total", "Beacons sent, by which processes find each other.", counter, func(s *engine.Stats) uint64 { return s.BeaconsSent }},
	{"beacons_received_total", "Beacons received.", counter, func(s *engine.Stats) uint64 { return s.BeaconsReceived }},
	{"views_total", "Views that this node entered.", counter, func(s *engine.Stats) uint64 { return s.Views }},
	{"suspicions_total", "Times that a member of the view came to be suspected.", counter, func(s *engine.Stats) uint64 { return s.Suspicions }},
	{"expelled_total", "Times that the ring went on without this node.", counter, func(s *engine.Stats) uint64 { return s.Expelled }},
	{"lost_messages_total", "Messages accepted from the program and dropped when the ring went on without this node.", counter, func(s *engine.Stats) uint64 { return s.MessagesLost }},
	{"letters_sent_total", "Letters of the control plane sent.", counter, func(s *engine.Stats) uint64 { return s.LettersSent }},
	{"letters_received_total", "Letters of the control plane received.", counter, func(s *engine.Stats) uint64 { return s.LettersReceived }},
	{"bad_letters_total", "Malformed letters dropped.", counter, func(s *engine.Stats) uint64 { return s.BadLetters }},
	{"state_sent_bytes_total", "Bytes of groups' states given to nodes that joined.", counter, func(s *engine.Stats) uint64 { return s.StateSent }},
	{"state_received_bytes_total", "Bytes of groups' states restored here.", counter, func(s *engine.Stats) uint64 { return s.StateReceived }},
	{"states_given_total", "States of groups given whole to nodes that joined.", counter, func(s *engine.Stats) uint64 { return s.StatesGiven }},
	{"states_restored_total", "States of groups restored here.", counter, func(s *engine.Stats) uint64 { return s.StatesRestored }},
	{"states_failed_total", "States of groups that could not be had from the member that was asked.", counter, func(s *engine.Stats) uint64 { return s.StatesFailed }},

	{"trains_sent_total", "Trains of packets handed to the kernel.", counter, func(s *engine.Stats) uint64 { return s.TrainsSent }},
	{"trains_copied_total", "Trains sent to one member though they are for all, because multicast does not reach it or is not used.", counter, func(s *engine.Stats) uint64 { return s.TrainsCopied }},
	{"trains_received_total", "Trains of packets taken from the kernel.", counter, func(s *engine.Stats) uint64 { return s.TrainsReceived }},
	{"send_calls_total", "System calls that send.", counter, func(s *engine.Stats) uint64 { return s.SendCalls }},
	{"receive_calls_total", "System calls that receive.", counter, func(s *engine.Stats) uint64 { return s.RecvCalls }},
	{"send_errors_total", "Trains that the network refused.", counter, func(s *engine.Stats) uint64 { return s.SendErrors }},
	{"loop_sleeps_total", "Times that the loop slept in the kernel for want of work.", counter, func(s *engine.Stats) uint64 { return s.Wakeups }},
	{"loop_naps_total", "Times that the busy loop let work gather for some tens of microseconds.", counter, func(s *engine.Stats) uint64 { return s.Naps }},
	{"loop_stalls_total", "Times that the loop stood still for 50 ms, or a quarter of the timeout if that is more.", counter, func(s *engine.Stats) uint64 { return s.Stalls }},

	{"slab_bytes", "Packet memory in use.", gauge, func(s *engine.Stats) uint64 { return s.SlabBytes }},
	{"held_bytes", "Packet memory that holds what has been received and not delivered.", gauge, func(s *engine.Stats) uint64 { return s.HeldBytes }},
	{"fanned_out_members", "Members that get what is for all by unicast now.", gauge, func(s *engine.Stats) uint64 { return s.FannedOut }},
	{"hold_limit_bytes", "Held bytes past which this node asks the senders to pause.", gauge, func(s *engine.Stats) uint64 { return s.HoldLimit }},
	{"window_bytes", "Kernel memory that this node's packets in flight take at a receiver.", gauge, func(s *engine.Stats) uint64 { return s.WindowBytes }},
	{"window_limit_bytes", "How much that may be now: the send window.", gauge, func(s *engine.Stats) uint64 { return s.WindowLimit }},
	{"submit_ring_bytes", "Messages that wait to be sent.", gauge, func(s *engine.Stats) uint64 { return s.SubmitBytes }},
	{"submit_ring_limit_bytes", "Size of the submit ring: when it is full, senders wait.", gauge, func(s *engine.Stats) uint64 { return s.SubmitLimit }},
	{"token_held", "1 while this node holds the ordering token, else 0.", gauge, func(s *engine.Stats) uint64 { return s.TokenHeld }},
	{"view_number", "Number of the ring's view; 0 while this node is in none.", gauge, func(s *engine.Stats) uint64 { return s.View }},
	{"view_members", "Members of the ring's view; 0 while this node is in none.", gauge, func(s *engine.Stats) uint64 { return s.Members }},
	{"view_blocked", "1 while too few members of the view are left to go on, else 0.", gauge, func(s *engine.Stats) uint64 { return s.Blocked }},
	{"suspected_members", "Members of the view that are suspected.", gauge, func(s *engine.Stats) uint64 { return s.Suspected }},
	{"pausing_members", "Members of the view that ask the senders to pause, this node included.", gauge, func(s *engine.Stats) uint64 { return s.Pausing }},
	{"restoring_groups", "Groups whose state is being restored here.", gauge, func(s *engine.Stats) uint64 { return s.Restoring }},
}
