package result

import (
	"fmt"
	"io"
	"strconv"

	"cohort/internal/bench/member"
)

// Soak is the document of a long run.
type Soak struct {
	Head
	Interrupted bool         `json:"interrupted"` // it ended before its time, and has what was measured until then
	Settings    SoakSettings `json:"settings"`
	Members     []Member     `json:"members"`
	Rows        []SoakRow    `json:"rows"`
	Health      []SoakHealth `json:"health"`
	Totals      []SoakTotal  `json:"totals"`
	Drift       []Drift      `json:"drift"`
}

// SoakSettings is how it was run.
type SoakSettings struct {
	Where
	Levels    []string `json:"levels"`
	SizeBytes int      `json:"size_bytes"`
	Members   int      `json:"members"`
	Senders   int      `json:"senders"`
	DurationS float64  `json:"duration_s"`
	IntervalS float64  `json:"interval_s"`
	Percent   float64  `json:"percent_of_saturation"`
}

// SoakRow is one level in one interval.
type SoakRow struct {
	Interval        int     `json:"interval"` // from 0
	AtS             float64 `json:"at_s"`     // its end
	Level           string  `json:"level"`
	OfferedMsgsPerS float64 `json:"offered_msgs_per_s"`
	MsgsPerS        float64 `json:"msgs_per_s"` // delivered at the slowest member
	CPUUsPerMsg     float64 `json:"cpu_us_per_msg"`
	Messages        uint64  `json:"messages"`
	Lost            uint64  `json:"lost_messages"`
	Drops
	Verified bool    `json:"verified"`
	P50Us    float64 `json:"p50_us"`
	P90Us    float64 `json:"p90_us"`
	P99Us    float64 `json:"p99_us"`
	P999Us   float64 `json:"p999_us"`
	MaxUs    float64 `json:"max_us"`
}

// SoakHealth is what one member held at the end of one interval.
type SoakHealth struct {
	Interval int     `json:"interval"`
	AtS      float64 `json:"at_s"`
	Rank     int     `json:"rank"`
	member.Health
}

// SoakTotal is one level over all intervals.
type SoakTotal struct {
	Level        string  `json:"level"`
	LoadMsgsPerS float64 `json:"load_msgs_per_s"` // offered
	Messages     uint64  `json:"messages"`
	Lost         uint64  `json:"lost_messages"`
	Drops
	Latency
}

// Add adds an interval. It returns an error if the histograms do not go together.
func (t *SoakTotal) Add(row SoakRow, l Latency) (err error) {
	all := []string{l.Histogram}
	if t.Messages > 0 {
		all = append(all, t.Histogram)
	}
	t.Messages += row.Messages
	t.Lost += row.Lost
	t.Dropped += row.Dropped
	t.Retransmitted += row.Retransmitted
	t.Latency, err = Merge(all)
	return err
}

// Trend says how a quantity changed.
type Trend string

// Trends.
const (
	Grows    Trend = "grows"
	Falls    Trend = "falls"
	Steady   Trend = "steady"
	TooShort Trend = "too short" // there were too few intervals to say
)

// Drift is how one quantity changed.
type Drift struct {
	What          string  `json:"what"` // the field's name
	Of            string  `json:"of"`   // a level, or a member
	Samples       int     `json:"samples"`
	Mean          float64 `json:"mean"`
	PerHour       float64 `json:"per_hour"`        // slope
	MarginPerHour float64 `json:"margin_per_hour"` // the slope's interval of 95 % is this to both sides
	Change        float64 `json:"change"`          // over all samples
	Verdict       Trend   `json:"verdict"`
	Leak          bool    `json:"leak"` // it grows and must not
}

// Encode returns the document.
func (s *Soak) Encode() ([]byte, error) { return Encode(s) }

// Notes returns what kept the sockets from being faster.
func (s *Soak) Notes() []string { return append(s.part(), notes(s.Members)...) }

// Table writes totals and drift for people.
func (s *Soak) Table(w io.Writer) error {
	fmt.Fprintf(w, "%d members on %s, %d sending %s messages at %v %% of what each level carries; %d rows of the %s asked for\n\n",
		s.Settings.Members, s.Settings.Network, s.Settings.Senders, Bytes(s.Settings.SizeBytes), s.Settings.Percent, len(s.Rows), seconds(s.Settings.DurationS))
	t := newTable(w, []string{"level", "offered/s", "messages", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "max µs", "dropped", "retransmitted"})
	for _, l := range s.Totals {
		t.line([]string{l.Level, Count(l.LoadMsgsPerS), Count(float64(l.Messages)), micro(l.P50Us), micro(l.P90Us), micro(l.P99Us), micro(l.P999Us),
			micro(l.MaxUs), strconv.FormatUint(l.Dropped, 10), strconv.FormatUint(l.Retransmitted, 10)})
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = newTable(w, []string{"drift of", "at", "mean", "per hour", "95 % +-", "verdict"})
	short := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	for _, d := range s.Drift {
		cells := []string{d.What, d.Of, short(d.Mean), short(d.PerHour), short(d.MarginPerHour), string(d.Verdict)}
		if d.Verdict == TooShort { // no slope was looked for
			cells[3], cells[4] = "", ""
		}
		if d.Samples == 0 {
			cells[2] = ""
		}
		if d.Leak {
			cells[5] += ": a leak"
		}
		t.line(cells)
	}
	return t.flush()
}
