package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"cohort/internal/bench/result"
	"cohort/tuning"
)

// reportSchema counts incompatible changes of the document.
const reportSchema = 1

// Report is what the doctor found, as a document.
type Report struct {
	Schema    int              `json:"schema"`
	Version   result.Version   `json:"version"`
	Machine   tuning.Machine   `json:"machine"`
	Facts     tuning.Facts     `json:"facts"`
	Findings  []tuning.Finding `json:"findings"` // in order of their effect
	SelfTest  *SelfTest        `json:"self_test,omitempty"`
	NoTest    string           `json:"no_self_test,omitempty"` // why there is none
	Path      *Path            `json:"path,omitempty"`         // to --peer
	Attention int              `json:"attention"`              // findings that need it
}

// Encode returns the document as indented JSON.
func (r *Report) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	return append(b, '\n'), nil
}

// Notes returns none: all that is to be said is a finding.
func (r *Report) Notes() []string { return nil }

// Table writes the findings for people.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	for i := range r.Findings {
		writeFinding(&b, i+1, &r.Findings[i])
	}
	if s := r.SelfTest; s != nil {
		s.write(&b)
	} else if r.NoTest != "" {
		fmt.Fprintf(&b, "self-test: not measured: %s\n", r.NoTest)
	}
	if r.Path != nil {
		r.Path.write(&b)
	}
	if r.Attention == 0 {
		fmt.Fprintln(&b, "fit: nothing needs attention")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFinding(b *strings.Builder, n int, f *tuning.Finding) {
	fmt.Fprintf(b, "%d. %s (%s)\n", n, f.Found, f.Severity)
	fmt.Fprintf(b, "   expected: %s\n   why: %s\n", f.Expected, f.Why)
	for _, c := range f.Commands {
		fmt.Fprintf(b, "   as root: %s\n", c)
	}
	measured := ""
	if f.Measured {
		measured = " (measured here)"
	}
	fmt.Fprintf(b, "   gain: %s%s\n", f.Gain, measured)
	if len(f.Changes) > 0 && f.NeedsAttention() {
		fmt.Fprintln(b, "   vsbench doctor --apply does it, --undo takes it back")
	}
	fmt.Fprintln(b)
}

func (s *SelfTest) write(b *strings.Builder) {
	if s.TrainsMBs > 0 {
		fmt.Fprintf(b, "self-test over lo, packets of %d bytes to one receiver: %.0f MB/s in trains, %.0f MB/s without\n", segment, s.TrainsMBs, s.PlainMBs)
	} else {
		fmt.Fprintf(b, "self-test over lo, packets of %d bytes to one receiver: %.0f MB/s; no trains: %s\n", segment, s.PlainMBs, s.NoTrains)
	}
	for _, u := range s.Bursts {
		fmt.Fprintf(b, "  a receive buffer of %d KiB (%s) keeps %.1f MB of a burst of %.1f MB\n", u.Buffer>>10, u.Name, float64(u.Kept)/1e6, float64(u.Sent)/1e6)
	}
}

func (p *Path) write(b *strings.Builder) {
	fmt.Fprintf(b, "path between here (%v) and %v, group %v:\n", p.Local, p.Peer, p.Group)
	for _, w := range p.Ways {
		direction := "in"
		if w.Out {
			direction = "out"
		}
		fmt.Fprintf(b, "  %-9s %-3s %d of %d packets", castName(w), direction, w.Tally.Received, w.Sent)
		if w.Tally.Received == 0 {
			fmt.Fprintln(b)
			continue
		}
		fmt.Fprintf(b, ", %d out of order", w.Tally.Reordered)
		if w.NotSized != "" {
			fmt.Fprintf(b, "; largest not measured: %s", w.NotSized)
		} else {
			fmt.Fprintf(b, "; largest %d of %d bytes", w.Largest, w.Wanted)
		}
		if w.NoTrains != "" {
			fmt.Fprintf(b, "; no trains: %s\n", w.NoTrains)
			continue
		}
		fmt.Fprintf(b, "; in trains %d of %d packets, %d changed, %d trains came whole\n",
			w.TrainTally.Received, w.TrainPackets, w.TrainTally.Changed, w.TrainTally.Trains)
	}
}
