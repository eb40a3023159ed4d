// Package result is what a run of the bench leaves: a document that can be
// compared with others later, and a table for people.
package result

import (
	"path/filepath"
	"time"

	"cohort/iomulticast"
	"cohort/tuning"
)

// Schema counts incompatible changes of the document.
const Schema = 1

// Run is the document.
type Run struct {
	Schema   int            `json:"schema"`
	Version  Version        `json:"version"`
	Started  time.Time      `json:"started"` // UTC
	ElapsedS float64        `json:"elapsed_s"`
	Machine  tuning.Machine `json:"machine"`
	Settings Settings       `json:"settings"`
	Members  []Member       `json:"members"`
	Rows     []Row          `json:"rows"`
	Idle     []Idle         `json:"idle"`
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
	DurationS     float64  `json:"duration_s"`      // of a row: half of it flood, half of it load
	WarmUpS       float64  `json:"warm_up_s"`       // before each row, not counted
	LoadMsgsPerS  float64  `json:"load_msgs_per_s"` // asked for; a row may have less
	Network       string   `json:"network"`
	Interface     string   `json:"interface"`
	MTU           int      `json:"mtu"`       // 0: the interface's own
	Transport     string   `json:"transport"` // Multicast or Fanout
	Loss          float64  `json:"loss"`      // probability that a member loses a packet that has come
	IdlePauseS    float64  `json:"idle_pause_s"`
	IdleMessages  int      `json:"idle_messages"`
	LatencyCounts string   `json:"latency_counts"` // whose deliveries are in the percentiles
}

// Member is one process.
type Member struct {
	Rank   int                   `json:"rank"`
	PID    int                   `json:"pid"`
	Engine *iomulticast.Features `json:"engine,omitempty"` // what the engine's sockets can do
	Raw    *iomulticast.Features `json:"raw,omitempty"`    // and the raw ones
}

// Row is one level at one size with so many senders.
type Row struct {
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Members   int    `json:"members"`
	Senders   int    `json:"senders"`
	Network   string `json:"network"`

	MsgsPerS      float64   `json:"msgs_per_s"` // delivered at the slowest member
	MBPerS        float64   `json:"mb_per_s"`   // the same, 10^6 bytes of payload
	MemberRates   []float64 `json:"member_msgs_per_s"`
	CPUUsPerMsg   float64   `json:"cpu_us_per_msg"` // all processes, per message delivered at one
	Messages      uint64    `json:"messages"`       // sent at full speed
	Lost          uint64    `json:"lost_messages"`  // sent and not delivered at the worst member: only raw may
	Dropped       uint64    `json:"dropped_packets"`
	Retransmitted uint64    `json:"retransmitted_packets"`
	Verified      bool      `json:"verified"`

	LoadMsgsPerS float64 `json:"load_msgs_per_s"` // offered while latency was measured, all senders together
	Latency

	RatioFbcast *float64 `json:"ratio_fbcast"` // of messages per second; null if not measured in this run
	RatioRaw    *float64 `json:"ratio_raw"`
}

// Idle is a level used one message at a time on an idle group.
type Idle struct {
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Verified  bool   `json:"verified"`
	Latency
	RatioToRaw *float64 `json:"ratio_to_raw"` // of medians; null if raw was not measured
}

// Encode returns the document.
func (r *Run) Encode() ([]byte, error) { return encode(r) }

// DefaultPath returns where what a command measured is written if it started then.
func DefaultPath(command string, started time.Time) string {
	return filepath.Join("results", command+"-"+started.UTC().Format("20060102T150405Z")+".json")
}
