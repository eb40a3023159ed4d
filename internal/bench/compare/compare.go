// Package compare tells whether figures of two sets of documents differ by more than
// the noise of their runs.
package compare

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"cohort/internal/bench/result"
	"cohort/internal/bench/stat"
)

// Command is the name under which a comparison's document goes.
const Command = "compare"

// Comparison is the document: later sets of documents beside the first one.
type Comparison struct {
	Schema  int      `json:"schema"`
	Command string   `json:"command"`
	Sets    []Set    `json:"sets"` // the first is what the others are compared with
	Against []Change `json:"against"`
}

// Set is documents whose runs are taken together.
type Set struct {
	Files    []string `json:"files"`
	Versions []string `json:"versions"` // what was measured, each once
	Runs     int      `json:"runs"`     // the least that a row has
	Noisy    []string `json:"noisy,omitempty"`

	Incomplete []string `json:"incomplete,omitempty"` // documents that have not all that was asked for, and why

	docs []*result.Run
}

// Change is how one set differs from the first.
type Change struct {
	Set       int      `json:"set"`                 // index in Sets
	Different []string `json:"different,omitempty"` // machines, kernels and settings, for people
	Figures   []Figure `json:"figures"`
	OnlyOld   []string `json:"only_old,omitempty"` // rows, for people
	OnlyNew   []string `json:"only_new,omitempty"`
	TooFew    int      `json:"too_few"` // figures with too few runs for any change to be significant
	Tested    int      `json:"tested"`
}

// Figure is one figure of one row in both sets.
type Figure struct {
	Row
	Figure string `json:"figure"`
	Old    Side   `json:"old"`
	New    Side   `json:"new"`

	ChangePct   *float64 `json:"change_pct"` // of the median; null if the old one is 0
	P           float64  `json:"p"`          // Mann-Whitney U: how probable such a difference is by chance
	Significant bool     `json:"significant"`
	TooFew      bool     `json:"too_few"` // no difference could have been significant
}

// Row names a row. An idle one has no senders.
type Row struct {
	Idle      bool   `json:"idle"`
	Level     string `json:"level"`
	SizeBytes int    `json:"size_bytes"`
	Members   int    `json:"members,omitempty"`
	Senders   int    `json:"senders,omitempty"`
	Network   string `json:"network,omitempty"`
}

// String names the row for people.
func (r Row) String() string {
	if r.Idle {
		return fmt.Sprintf("%s, %s, idle group", r.Level, result.Bytes(r.SizeBytes))
	}
	return fmt.Sprintf("%s, %s, %d of %d sending, %s", r.Level, result.Bytes(r.SizeBytes), r.Senders, r.Members, r.Network)
}

// Side is what one set says.
type Side struct {
	N        int            `json:"n"` // runs
	Median   float64        `json:"median"`
	Interval *stat.Interval `json:"interval"` // null with fewer than two runs
}

// Load reads the documents of a set: paths with commas between them.
func Load(paths string) (s Set, err error) {
	for path := range strings.SplitSeq(paths, ",") {
		if path == "" {
			return s, fmt.Errorf("%q: no file beside a comma: want FILE, or FILE,FILE without a space for several as one set", paths)
		}
		if slices.ContainsFunc(s.Files, func(f string) bool { return filepath.Clean(f) == filepath.Clean(path) }) {
			return s, fmt.Errorf("%s is there twice in %s: its runs would count twice", path, paths)
		}
		doc, err := result.ReadRun(path)
		if err != nil {
			return s, err
		}
		s.Files, s.docs = append(s.Files, path), append(s.docs, doc)
		if v := doc.Version.String(); !slices.Contains(s.Versions, v) {
			s.Versions = append(s.Versions, v)
		}
		if doc.Incomplete != "" {
			s.Incomplete = append(s.Incomplete, fmt.Sprintf("%s: %s", path, doc.Incomplete))
		}
		if doc.Noise != nil && doc.Noise.Noisy {
			s.Noisy = append(s.Noisy, fmt.Sprintf("%s: %s", path, strings.Join(doc.Noise.Reasons, "; ")))
		}
	}
	return s, nil
}

// Compare compares each set with the first. figures are names of result.RowFigures
// and result.IdleFigures; rows that have none of that name are passed over.
func Compare(sets []Set, figures []string) *Comparison {
	c := &Comparison{Schema: result.Schema, Command: Command, Sets: sets}
	pools := make([]pool, len(sets))
	for i := range sets {
		pools[i] = newPool(sets[i].docs, figures)
		sets[i].Runs = pools[i].least()
	}
	for i := 1; i < len(sets); i++ {
		change := pools[0].change(&pools[i], figures)
		change.Set, change.Different = i, differences(sets[0].docs, sets[i].docs)
		c.Against = append(c.Against, change)
	}
	return c
}
