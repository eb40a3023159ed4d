package result

import (
	"fmt"
	"io"
	"strconv"
)

// Scaling is the document of what more members and more groups cost.
type Scaling struct {
	Head
	Settings ScalingSettings `json:"settings"`
	Members  []Member        `json:"members"` // of the largest ring
	Rows     []Scale         `json:"rows"`
	Groups   []Groups        `json:"groups"`
}

// ScalingSettings is how scaling was measured.
type ScalingSettings struct {
	Where
	Levels       []string `json:"levels"`
	SizeBytes    int      `json:"size_bytes"`
	Members      []int    `json:"members"`
	Senders      string   `json:"senders"` // a number, or all
	DurationS    float64  `json:"duration_s"`
	LoadMsgsPerS float64  `json:"load_msgs_per_s"` // asked for; a row may have less
	Groups       []int    `json:"groups"`
	GroupMembers int      `json:"group_members"` // of the ring on which groups were counted
	JoinLimitS   float64  `json:"join_limit_s"`
}

// Scale is one level with so many members.
type Scale struct {
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Members   int    `json:"members"`
	Senders   int    `json:"senders"`
	Network   string `json:"network"`
	Speed
	CPUUsPerDelivery float64 `json:"cpu_us_per_delivery"` // all processes, per message delivered at each of the members
	Drops
	Verified     bool    `json:"verified"`
	LoadMsgsPerS float64 `json:"load_msgs_per_s"` // offered while latency was measured
	Latency
}

// Joining is how groups were joined, at all members at once.
type Joining struct {
	Asked   int     `json:"groups_asked"`
	Groups  int     `json:"groups"`       // that messages went to in turn
	Limited bool    `json:"limited"`      // the limit passed before all were joined
	Joins   int     `json:"joins"`        // groups that were joined for this row, by each member
	JoinS   float64 `json:"join_s"`       // how long that took the slowest
	JoinUs  float64 `json:"join_us_each"` // of one; 0 if there were none
}

// Groups is one level with so many groups.
type Groups struct {
	Joining
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Members   int    `json:"members"`
	Senders   int    `json:"senders"`
	Network   string `json:"network"`
	Speed
	RatioFewest *float64 `json:"ratio_cpu_fewest"` // of CPU time per message to the row with the fewest groups
	Drops
	Verified bool `json:"verified"`
}

// Encode returns the document.
func (s *Scaling) Encode() ([]byte, error) { return Encode(s) }

// Notes returns what kept the sockets from being faster.
func (s *Scaling) Notes() []string { return append(s.part(), notes(s.Members)...) }

// Table writes both for people.
func (s *Scaling) Table(w io.Writer) error {
	if len(s.Rows) > 0 {
		fmt.Fprintf(w, "members as processes of one machine, on %s; %s of each row at full speed and as much at the load\n\n", s.Settings.Network, seconds(s.Settings.DurationS/2))
		t := newTable(w, []string{"level", "members", "senders", "size", "msgs/s", "MB/s", "CPU µs/delivery", "load/s", "p50 µs", "p99 µs", "dropped", "verified"})
		for _, r := range s.Rows {
			t.line([]string{r.Level, strconv.Itoa(r.Members), strconv.Itoa(r.Senders), Bytes(r.SizeBytes), Count(r.MsgsPerS), amount(r.MBPerS),
				amount(r.CPUUsPerDelivery), Count(r.LoadMsgsPerS), micro(r.P50Us), micro(r.P99Us), strconv.FormatUint(r.Dropped, 10), yes(r.Verified)})
		}
		if err := t.flush(); err != nil || len(s.Groups) == 0 {
			return err
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "groups on one ring of %d members, sent to in turn at full speed for %s; limited: joining was stopped after %s\n\n",
		s.Settings.GroupMembers, seconds(s.Settings.DurationS), seconds(s.Settings.JoinLimitS))
	t := newTable(w, []string{"level", "asked", "groups", "joins", "join s", "µs/join", "msgs/s", "CPU µs/msg", "x fewest", "limited", "verified"})
	for _, g := range s.Groups {
		t.line([]string{g.Level, strconv.Itoa(g.Asked), strconv.Itoa(g.Joining.Groups), strconv.Itoa(g.Joins), amount(g.JoinS), amount(g.JoinUs),
			Count(g.MsgsPerS), amount(g.CPUUsPerMsg), times(g.RatioFewest), yes(g.Limited), yes(g.Verified)})
	}
	return t.flush()
}
