package result

import "io"

// Replay is the document of a seed that was run again.
type Replay struct {
	Head
	Settings ReplaySettings `json:"settings"`
	Rows     []Replayed     `json:"rows"` // one
}

// ReplaySettings is how it was run.
type ReplaySettings struct {
	Flaw   string `json:"flaw"`   // on purpose; empty: none
	Shrink int    `json:"shrink"` // runs
	Tail   int    `json:"tail"`   // lines; 0: all
}

// Replayed is one seed.
type Replayed struct {
	Kind     string `json:"kind"`
	Seed     uint64 `json:"seed"`
	Violated bool   `json:"violated"` // a property
	Trace    string `json:"trace"`    // for people; it ends with what was violated, or what came of it
}

// Encode returns the document.
func (r *Replay) Encode() ([]byte, error) { return Encode(r) }

// Notes returns nothing.
func (r *Replay) Notes() []string { return nil }

// Table writes the trace.
func (r *Replay) Table(w io.Writer) error {
	for _, row := range r.Rows {
		if _, err := io.WriteString(w, row.Trace); err != nil {
			return err
		}
	}
	return nil
}
