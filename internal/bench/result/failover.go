package result

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"cohort/tuning"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Failover is the document of a run that measured failures.
type Failover struct {
	Schema   int            `json:"schema"`
	Command  string         `json:"command"` // CommandFailover
	Version  Version        `json:"version"`
	Started  time.Time      `json:"started"` // UTC
	ElapsedS float64        `json:"elapsed_s"`
	Machine  tuning.Machine `json:"machine"`
	Part
	Settings FailoverSettings `json:"settings"`
	Rows     []Fault          `json:"rows"`
}

// FailoverSettings is how failures were measured.
type FailoverSettings struct {
	Faults       []string `json:"faults"`
	Members      int      `json:"members"`
	Kills        int      `json:"kills"`
	RateMsgsPerS float64  `json:"rate_msgs_per_s"` // of each member, open loop
	SizeBytes    int      `json:"size_bytes"`
	StateBytes   int64    `json:"state_bytes"` // of the group, for join
	TimeoutMs    float64  `json:"timeout_ms"`
	Network      string   `json:"network"`
	Interface    string   `json:"interface"`
	BucketMs     float64  `json:"bucket_ms"` // over which throughput is counted
}

// Fault is one kind of fault. Times are over all kills, and over the members that it
// was not done to.
type Fault struct {
	Fault     string  `json:"fault"`
	Members   int     `json:"members"` // before the fault
	Kills     int     `json:"kills"`   // how often it was done
	Network   string  `json:"network"`
	TimeoutMs float64 `json:"timeout_ms"`
	Samples   int     `json:"samples"`
	Verified  bool    `json:"verified"`

	GapMin       float64 `json:"gap_min_ms"` // longest time without a delivery
	GapP50       float64 `json:"gap_p50_ms"`
	GapP99       float64 `json:"gap_p99_ms"`
	GapMax       float64 `json:"gap_max_ms"`
	ViewMin      float64 `json:"view_min_ms"` // from the fault to the new view
	ViewP50      float64 `json:"view_p50_ms"`
	ViewP99      float64 `json:"view_p99_ms"`
	ViewMax      float64 `json:"view_max_ms"`
	RecoveredMin float64 `json:"recovered_min_ms"` // from the fault until throughput was back
	RecoveredP50 float64 `json:"recovered_p50_ms"`
	RecoveredP99 float64 `json:"recovered_p99_ms"`
	RecoveredMax float64 `json:"recovered_max_ms"`
	BackMin      float64 `json:"back_min_ms"` // from the end of the fault until all members are in one view again
	BackP50      float64 `json:"back_p50_ms"`
	BackP99      float64 `json:"back_p99_ms"`
	BackMax      float64 `json:"back_max_ms"`

	Timeline []Moment `json:"timeline"` // of throughput, around the fault
}

// Times is what was measured of one kind of fault.
type Times struct {
	Gap, View, Recovered, Back []time.Duration
	Timeline                   [][]float64 // shares by bucket, the first one TimelineBefore buckets before the fault
}

// TimelineBefore is how many buckets of a timeline lie before the fault.
const TimelineBefore = 10

// Moment is one bucket of time around a fault: what was delivered in it of messages of
// those that were not hit, as a share of what that was before the fault.
type Moment struct {
	AtMs    float64 `json:"at_ms"` // its beginning, from the fault on
	Samples int     `json:"samples"`
	Min     float64 `json:"min"`
	P50     float64 `json:"p50"`
	Max     float64 `json:"max"`
}

// timeline puts timelines together, as far as half of them reach.
func timeline(all [][]float64, bucketMs float64) (moments []Moment) {
	for b := 0; ; b++ {
		var shares []float64
		for _, t := range all {
			if b < len(t) {
				shares = append(shares, t[b])
			}
		}
		if len(shares) == 0 || 2*len(shares) < len(all) {
			return moments
		}
		slices.Sort(shares)
		moments = append(moments, Moment{AtMs: float64(b-TimelineBefore) * bucketMs, Samples: len(shares),
			Min: shares[0], P50: shares[len(shares)/2], Max: shares[len(shares)-1]})
	}
}

// Fill summarizes the times; buckets of timelines are of so many ms. It returns an error if there are none.
func (f *Fault) Fill(t Times, bucketMs float64) error {
	f.Timeline = timeline(t.Timeline, bucketMs)
	f.Samples = len(t.Gap)
	for _, s := range []struct {
		times              []time.Duration
		min, p50, p99, max *float64
	}{
		{t.Gap, &f.GapMin, &f.GapP50, &f.GapP99, &f.GapMax},
		{t.View, &f.ViewMin, &f.ViewP50, &f.ViewP99, &f.ViewMax},
		{t.Recovered, &f.RecoveredMin, &f.RecoveredP50, &f.RecoveredP99, &f.RecoveredMax},
		{t.Back, &f.BackMin, &f.BackP50, &f.BackP99, &f.BackMax},
	} {
		if len(s.times) == 0 {
			return fmt.Errorf("%s: nothing was measured", f.Fault)
		}
		h := hdrhistogram.New(1, longest.Nanoseconds(), faultDigits)
		for _, d := range s.times {
			if err := h.RecordValue(d.Nanoseconds()); err != nil {
				return fmt.Errorf("%s: %v: %w", f.Fault, d, err)
			}
		}
		*s.min, *s.max = milli(h.Min()), milli(h.Max())
		*s.p50, *s.p99 = milli(h.ValueAtQuantile(50)), milli(h.ValueAtQuantile(99))
	}
	return nil
}

// Times of faults are recorded up to the longest, to so many digits.
const (
	longest     = time.Hour
	faultDigits = 3
)

func milli(ns int64) float64 { return float64(ns) / 1e6 }

// Encode returns the document.
func (r *Failover) Encode() ([]byte, error) { return Encode(r) }

// Notes says nothing of what the sockets lack: that is no matter at a moderate rate.
func (r *Failover) Notes() []string { return r.part() }

// Table writes the rows for people.
func (r *Failover) Table(w io.Writer) error {
	s := &r.Settings
	fmt.Fprintf(w, "%d members on %s, each sending %s abcasts of %s a second; timeout %v ms; times in ms, at the members that the fault was not done to\n\n",
		s.Members, s.Network, Count(s.RateMsgsPerS), Bytes(s.SizeBytes), s.TimeoutMs)
	t := newTable(w, []string{"fault", "kills", "gap p50", "p99", "max", "view p50", "p99", "max", "recovered p50", "p99", "max", "back p50", "p99", "verified"})
	for _, f := range r.Rows {
		cells := []string{f.Fault, strconv.Itoa(f.Kills)}
		for _, ms := range []float64{f.GapP50, f.GapP99, f.GapMax, f.ViewP50, f.ViewP99, f.ViewMax, f.RecoveredP50, f.RecoveredP99, f.RecoveredMax, f.BackP50, f.BackP99} {
			cells = append(cells, strconv.FormatFloat(ms, 'f', 1, 64))
		}
		t.line(append(cells, yes(f.Verified)))
	}
	return t.flush()
}
