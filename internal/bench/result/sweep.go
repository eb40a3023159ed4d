package result

import (
	"fmt"
	"io"
	"strconv"
)

// Throughput is the document of a sweep over sizes, senders and members.
type Throughput struct {
	Head
	Settings ThroughputSettings `json:"settings"`
	Members  []Member           `json:"members"` // of the largest group
	Rows     []Sweep            `json:"rows"`
}

// ThroughputSettings is how throughput was measured.
type ThroughputSettings struct {
	Where
	Levels    []string `json:"levels"`
	Sizes     []int    `json:"sizes"` // bytes
	Members   []int    `json:"members"`
	Senders   []string `json:"senders"`    // numbers, or all
	DurationS float64  `json:"duration_s"` // of a row
	WarmUpS   float64  `json:"warm_up_s"`  // before each row, not counted
}

// Sweep is one level at one size with so many senders of so many members.
type Sweep struct {
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Members   int    `json:"members"`
	Senders   int    `json:"senders"`
	Network   string `json:"network"`
	Speed
	Drops
	Verified    bool     `json:"verified"`
	RatioFbcast *float64 `json:"ratio_fbcast"` // of messages per second; null if not measured in this run
	RatioRaw    *float64 `json:"ratio_raw"`
}

// Ratios fills in each row's ratio to fbcast and raw where all else is equal.
func (t *Throughput) Ratios() {
	of := func(row Sweep, level string) *float64 {
		for _, o := range t.Rows {
			if o.Level == level && o.SizeBytes == row.SizeBytes && o.Members == row.Members && o.Senders == row.Senders {
				return quotient(row.MsgsPerS, o.MsgsPerS)
			}
		}
		return nil
	}
	for i := range t.Rows {
		t.Rows[i].RatioFbcast, t.Rows[i].RatioRaw = of(t.Rows[i], "fbcast"), of(t.Rows[i], "raw")
	}
}

// Encode returns the document.
func (t *Throughput) Encode() ([]byte, error) { return Encode(t) }

// Notes returns what kept the sockets from being faster.
func (t *Throughput) Notes() []string { return append(t.part(), notes(t.Members)...) }

// Table writes the rows for people.
func (t *Throughput) Table(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s of each row at full speed; delivered at the slowest member\n\n", t.Settings.Network, seconds(t.Settings.DurationS))
	heads := []string{"level", "size", "members", "senders", "msgs/s", "MB/s", "CPU µs/msg", "x fbcast", "x raw", "dropped", "retransmitted", "verified"}
	tab := newTable(w, heads)
	for i, r := range t.Rows {
		if i > 0 && (r.SizeBytes != t.Rows[i-1].SizeBytes || r.Senders != t.Rows[i-1].Senders || r.Members != t.Rows[i-1].Members) {
			tab.line(make([]string, len(heads)))
		}
		tab.line([]string{r.Level, Bytes(r.SizeBytes), strconv.Itoa(r.Members), strconv.Itoa(r.Senders), Count(r.MsgsPerS), amount(r.MBPerS),
			amount(r.CPUUsPerMsg), times(r.RatioFbcast), times(r.RatioRaw),
			strconv.FormatUint(r.Dropped, 10), strconv.FormatUint(r.Retransmitted, 10), yes(r.Verified)})
	}
	return tab.flush()
}
