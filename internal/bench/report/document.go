package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
)

// Document is what one command measured.
type Document struct {
	name string // of its file
	text []byte
	doc  result.Document
	head result.Head
}

// Load reads a document. Its error names the file and what is wrong with it.
func Load(path string) (*Document, error) {
	doc, text, err := result.ReadDocument(path)
	if err != nil {
		return nil, err
	}
	if err := checkTexts(text); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Document{name: path, text: text, doc: doc, head: result.HeadOf(doc)}, nil
}

// maxText is the longest text, in bytes, that no measurement has: tables are as wide as the longest.
const maxText = 4096

// checkTexts returns an error if a document has text that would make its table too large.
func checkTexts(text []byte) error {
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	return walk("", doc)
}

func walk(name string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for name, v := range v {
			if err := walk(name, v); err != nil {
				return err
			}
		}
	case []any:
		for _, v := range v {
			if err := walk(name, v); err != nil {
				return err
			}
		}
	case string:
		if len(v) > maxText && name != "histogram" {
			return fmt.Errorf("%q has text of %s: want at most %s", name[:min(len(name), 40)], result.Bytes(len(v)), result.Bytes(maxText))
		}
	}
	return nil
}

// figures returns what there is to draw.
func (d *Document) figures() []figure {
	switch doc := d.doc.(type) {
	case *result.Run:
		return clean(ofRun(doc))
	case *result.Peers:
		return clean(ofRun(doc.Run))
	case *result.Throughput:
		return clean(ofThroughput(doc))
	case *result.Curve:
		return clean(ofLatency(doc))
	case *result.Failover:
		return clean(ofFailover(doc))
	case *result.Scaling:
		return clean(ofScale(doc))
	case *result.Soak:
		return clean(ofSoak(doc))
	}
	return nil
}

// common is what documents have under the same names, as far as they have it.
type common struct {
	Settings struct {
		Network   string          `json:"network"`
		Transport string          `json:"transport"`
		Members   json.RawMessage `json:"members"`
		Runs      int             `json:"runs"`
		Kills     int             `json:"kills"`
		DurationS float64         `json:"duration_s"`
	} `json:"settings"`
	Rows []struct {
		LatencyOf string `json:"latency_of"`
	} `json:"rows"`
	Noise *noise.Noise `json:"noise"`
}

func (d *Document) common() (c common) {
	_ = json.Unmarshal(d.text, &c) // what is of another type is left out: it has been read before as what it is
	return c
}

// conditions says where and how it was measured, in a line.
func (d *Document) conditions() string {
	c, m := d.common(), d.head.Machine
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if c.Settings.Members != nil {
		say("%s members", strings.Trim(string(c.Settings.Members), "[]"))
	}
	if c.Settings.Network != "" {
		say("%s", strings.TrimSpace(c.Settings.Network+" "+c.Settings.Transport))
	}
	if c.Settings.DurationS > 0 {
		say("%.3g s each", c.Settings.DurationS)
	}
	if c.Settings.Runs > 1 {
		say("in %s", result.Things(c.Settings.Runs, "run"))
	}
	if c.Settings.Kills > 0 {
		say("%d faults of each kind", c.Settings.Kills)
	}
	var of []string
	for _, r := range c.Rows {
		if r.LatencyOf != "" && !slices.Contains(of, r.LatencyOf) {
			of = append(of, r.LatencyOf)
			say("latency: %s", r.LatencyOf)
		}
	}
	say("%d cores of %s", m.Cores, m.CPU)
	if m.Virtualization != "" {
		say("virtual machine (%s)", m.Virtualization)
	}
	say("%s %s", m.OS, m.Kernel)
	say("%s", d.head.Started.UTC().Format("2006-01-02 15:04 UTC"))
	say("cohort %s", d.head.Version)
	return strings.Join(said, "; ")
}

// warning returns what a reader must know of the figures before all else; "" if that is nothing.
func (d *Document) warning() string {
	noisy := d.noise()
	if d.head.Incomplete == "" {
		return noisy
	}
	return strings.TrimSpace("Incomplete, these are the figures until then: " + d.head.Incomplete + ". " + noisy)
}

// noise returns why the figures may be wrong; "" if nothing is known to be.
func (d *Document) noise() string {
	var run *result.Run
	switch doc := d.doc.(type) {
	case *result.Run:
		run = doc
	case *result.Peers:
		run = doc.Run
	default:
		return ""
	}
	noisy := 0
	for i := range run.Rows {
		if n := run.Rows[i].Noise; n != nil && n.Noisy {
			noisy++
		}
	}
	switch {
	case run.Noise != nil && run.Noise.Noisy:
		return fmt.Sprintf("Noisy machine, these figures may be far off: %s. Disturbed: %d of %s.", strings.Join(run.Noise.Reasons, "; "), noisy, result.Things(len(run.Rows), "row"))
	case noisy > 0:
		return fmt.Sprintf("Noise disturbed %d of %s.", noisy, result.Things(len(run.Rows), "row"))
	}
	return ""
}

// table returns what the command printed.
func (d *Document) table() (string, error) {
	var b bytes.Buffer
	err := d.doc.Table(&b)
	return b.String(), err
}

// slug returns a name in lower-case letters, digits and -.
func slug(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '-' }), "-")
}
