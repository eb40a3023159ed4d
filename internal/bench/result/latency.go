package result

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// oneWay is what latency is of unless members read different clocks.
const oneWay = "one way"

// Latency is times from when a message was due: to its delivery at each member but its
// sender, unless LatencyOf of what it belongs to says otherwise. None of it is in the document if it
// was not measured: a 0 would be taken for a latency.
type Latency struct {
	P50Us       float64      `json:"p50_us,omitzero"`
	P90Us       float64      `json:"p90_us,omitzero"`
	P99Us       float64      `json:"p99_us,omitzero"`
	P999Us      float64      `json:"p999_us,omitzero"`
	MeanUs      float64      `json:"mean_us,omitzero"`
	MaxUs       float64      `json:"max_us,omitzero"`
	Samples     int64        `json:"latency_samples,omitzero"`
	Percentiles []Percentile `json:"percentiles,omitempty"` // of all runs together; none in a single one
	Histogram   string       `json:"histogram,omitzero"`    // ns, HdrHistogram V2 compressed, base64
}

// Percentile is one point of the distribution.
type Percentile struct {
	P  float64 `json:"p"` // 0 to 100
	Us float64 `json:"us"`
}

// points returns the percentiles recorded: each 5 up to 95, and then nearer and
// nearer to 100, ten to each digit of nine.
func points() (ps []float64) {
	for p := 0.0; p < 90; p += 5 {
		ps = append(ps, p)
	}
	for rest := 10.0; rest > 0.0005; rest /= 10 {
		for i := range 9 {
			ps = append(ps, 100-rest*float64(10-i)/10)
		}
	}
	return append(ps, 100)
}

// Merge puts members' histograms (ns, as HdrHistogram encodes them) together. It returns an
// error if one cannot be read or there are none.
func Merge(encoded []string) (Latency, error) {
	if len(encoded) == 0 {
		return Latency{}, fmt.Errorf("merge histograms: none given")
	}
	var all *hdrhistogram.Histogram
	for i, e := range encoded {
		h, err := hdrhistogram.Decode([]byte(e))
		if err != nil {
			return Latency{}, fmt.Errorf("histogram %d: %w", i, err)
		}
		if all == nil {
			all = h
		} else if lost := all.Merge(h); lost > 0 {
			return Latency{}, fmt.Errorf("histogram %d: %d values are out of the range of the others", i, lost)
		}
	}
	b, err := all.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return Latency{}, fmt.Errorf("merged histogram: %w", err)
	}
	us := func(p float64) float64 { return float64(all.ValueAtPercentile(p)) / 1000 }
	l := Latency{
		P50Us: us(50), P90Us: us(90), P99Us: us(99), P999Us: us(99.9), MeanUs: all.Mean() / 1000, MaxUs: float64(all.Max()) / 1000,
		Samples: all.TotalCount(), Histogram: string(b),
	}
	for _, p := range points() {
		l.Percentiles = append(l.Percentiles, Percentile{P: p, Us: us(p)})
	}
	return l, nil
}
