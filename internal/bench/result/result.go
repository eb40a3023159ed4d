// Package result is what a run of the bench leaves: a document that can be
// compared with others later, and a table for people.
package result

import (
	"path/filepath"
	"time"

	"cohort/internal/bench/noise"
	"cohort/internal/bench/stat"
	"cohort/iomulticast"
	"cohort/tuning"
)

// Schema counts incompatible changes of the document.
const Schema = 1

// The commands that leave documents, as these name them. Documents of before they
// did have "".
const (
	CommandRun        = "run"
	CommandFailover   = "failover"
	CommandThroughput = "throughput"
	CommandLatency    = "latency"
	CommandScale      = "scale"
	CommandSoak       = "soak"
	CommandPeers      = "peers"
)

// Run is the document.
type Run struct {
	Schema   int            `json:"schema"`
	Command  string         `json:"command"` // CommandRun
	Version  Version        `json:"version"`
	Started  time.Time      `json:"started"` // UTC
	ElapsedS float64        `json:"elapsed_s"`
	Machine  tuning.Machine `json:"machine"`
	Part
	Settings   Settings     `json:"settings"`
	Members    []Member     `json:"members"`
	Hosts      []Host       `json:"hosts,omitempty"` // by rank, if the members are not all on this machine
	Rows       []Row        `json:"rows"`
	Idle       []Idle       `json:"idle"`
	Unmeasured []string     `json:"unmeasured,omitempty"` // rows that were left out, and why, for people
	Noise      *noise.Noise `json:"noise"`                // while it was measured; null if the system does not tell
	Targets    *Targets     `json:"targets,omitempty"`
}

// How what is for all members travels, as Settings name it.
const (
	Multicast = "multicast"
	Fanout    = "fanout" // by unicast to each member, raw included
)

// Settings is how it was measured.
type Settings struct {
	Levels        []string `json:"levels"`
	Sizes         []int    `json:"sizes"` // bytes
	Members       int      `json:"members"`
	Senders       []int    `json:"senders"`
	Runs          int      `json:"runs"`            // of each row
	DurationS     float64  `json:"duration_s"`      // of a row, all runs together: half of it flood, half of it load
	WarmUpS       float64  `json:"warm_up_s"`       // before each run of a row, not counted
	LoadMsgsPerS  float64  `json:"load_msgs_per_s"` // asked for; a row may have less
	Network       string   `json:"network"`
	Interface     string   `json:"interface"`
	MTU           int      `json:"mtu"`                  // 0: the interface's own
	Transport     string   `json:"transport"`            // Multicast or Fanout
	RecvBuffer    int      `json:"recv_buffer,omitzero"` // asked for by each socket, bytes of kernel memory, if the flag said so
	Loss          float64  `json:"loss"`                 // probability that a member loses a packet that has come
	IdlePauseS    float64  `json:"idle_pause_s"`
	IdleMessages  int      `json:"idle_messages"`  // all runs together
	LatencyCounts string   `json:"latency_counts"` // whose deliveries are in the percentiles
}

// Member is one process.
type Member struct {
	Rank   int                   `json:"rank"`
	PID    int                   `json:"pid"`
	Engine *iomulticast.Features `json:"engine,omitempty"` // what the engine's sockets can do
	Raw    *iomulticast.Features `json:"raw,omitempty"`    // and the raw ones
}

// Row is one level at one size with so many senders. Figures are medians of its runs,
// counts are sums, and percentiles and histogram are of all runs together.
type Row struct {
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Members   int    `json:"members"`
	Senders   int    `json:"senders"`
	Network   string `json:"network"`

	Speed
	Drops
	Verified bool `json:"verified"`

	LoadMsgsPerS float64 `json:"load_msgs_per_s,omitzero"` // offered while latency was measured, all senders together
	LatencyOf    string  `json:"latency_of"`               // a member.Timing; documents of before there were several have "", which is one way
	Latency

	RatioFbcast *float64 `json:"ratio_fbcast"` // of messages per second; null if not measured in this run
	RatioRaw    *float64 `json:"ratio_raw"`

	RatioOneSender *float64                 `json:"ratio_one_sender"` // to the same level with one sender
	Intervals      map[string]stat.Interval `json:"intervals"`        // of the figures with these names
	Processes      []Process                `json:"processes"`        // at full speed
	LoadProcesses  []Process                `json:"load_processes"`   // at the load
	Noise          *noise.Noise             `json:"noise"`            // null if the system does not tell
	Runs           []Pass                   `json:"runs"`
}

// Idle is a level used one message at a time on an idle group.
type Idle struct {
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Verified  bool   `json:"verified"`
	LatencyOf string `json:"latency_of"`
	Latency
	RatioToRaw *float64                 `json:"ratio_to_raw"` // of medians; null if raw was not measured, or timed in another way
	Intervals  map[string]stat.Interval `json:"intervals"`
	Processes  []Process                `json:"processes"`
	Noise      *noise.Noise             `json:"noise"`
	Runs       []IdlePass               `json:"runs"`
}

// Encode returns the document.
func (r *Run) Encode() ([]byte, error) { return Encode(r) }

// DefaultPath returns where what a command measured is written if it started then.
func DefaultPath(command string, started time.Time) string {
	return filepath.Join("results", command+"-"+started.UTC().Format("20060102T150405Z")+".json")
}
