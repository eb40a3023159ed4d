package result

import (
	"fmt"
	"io"
	"strconv"
)

// Curve is the document of latency against load.
type Curve struct {
	Head
	Settings CurveSettings `json:"settings"`
	Members  []Member      `json:"members"`
	Rows     []Point       `json:"rows"`
}

// CurveSettings is how latency was measured.
type CurveSettings struct {
	Where
	Levels    []string  `json:"levels"`
	Sizes     []int     `json:"sizes"` // bytes
	Members   int       `json:"members"`
	Senders   int       `json:"senders"`
	DurationS float64   `json:"duration_s"`       // of a point
	Points    []float64 `json:"points_percent"`   // of saturation; empty: LoadsPerS
	LoadsPerS []float64 `json:"loads_msgs_per_s"` // all senders together
}

// Point is one level at one size and one load.
type Point struct {
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Members   int    `json:"members"`
	Senders   int    `json:"senders"`
	Network   string `json:"network"`

	FloodMsgsPerS      float64  `json:"flood_msgs_per_s"`      // as fast as the level takes them
	SaturationMsgsPerS float64  `json:"saturation_msgs_per_s"` // what came of that rate on a schedule
	Percent            *float64 `json:"percent_of_saturation"` // offered; null if the load was given as a rate
	OfferedMsgsPerS    float64  `json:"offered_msgs_per_s"`    // all senders together
	AchievedMsgsPerS   float64  `json:"achieved_msgs_per_s"`   // delivered at the slowest member
	Saturated          bool     `json:"saturated"`

	CPUUsPerMsg float64 `json:"cpu_us_per_msg"` // all processes, per message delivered at one
	Messages    uint64  `json:"messages"`
	Lost        uint64  `json:"lost_messages"` // only raw may
	Drops
	Verified bool `json:"verified"`
	Latency
}

// saturatedBelow is the part of what was offered that must arrive in time.
const saturatedBelow = 0.95

// Judge says whether the point is saturated: less arrived in the time it was offered in.
func (p *Point) Judge() {
	p.Saturated = p.Lost > 0 || p.AchievedMsgsPerS < saturatedBelow*p.OfferedMsgsPerS
}

// Encode returns the document.
func (c *Curve) Encode() ([]byte, error) { return Encode(c) }

// Notes returns what kept the sockets from being faster.
func (c *Curve) Notes() []string { return append(c.part(), notes(c.Members)...) }

// Table writes the points for people.
func (c *Curve) Table(w io.Writer) error {
	s := &c.Settings
	fmt.Fprintf(w, "%d members on %s, %d sending on a fixed schedule for %s at each load; latency one way, from when a message was due\n\n",
		s.Members, s.Network, s.Senders, seconds(s.DurationS))
	heads := []string{"level", "size", "% of sat.", "offered/s", "achieved/s", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "max µs", "dropped", "saturated", "verified"}
	t := newTable(w, heads)
	for i, p := range c.Rows {
		if i > 0 && (p.Level != c.Rows[i-1].Level || p.SizeBytes != c.Rows[i-1].SizeBytes) {
			t.line(make([]string, len(heads)))
		}
		percent := ""
		if p.Percent != nil {
			percent = strconv.FormatFloat(*p.Percent, 'f', -1, 64)
		}
		t.line([]string{p.Level, Bytes(p.SizeBytes), percent, Count(p.OfferedMsgsPerS), Count(p.AchievedMsgsPerS),
			micro(p.P50Us), micro(p.P90Us), micro(p.P99Us), micro(p.P999Us), micro(p.MaxUs),
			strconv.FormatUint(p.Dropped, 10), yes(p.Saturated), yes(p.Verified)})
	}
	return t.flush()
}
