package result

import (
	"encoding/json"
	"fmt"
)

// maxDocument bounds a document that is read, in bytes.
const maxDocument = 256 << 20

// ReadRun reads a document that run has left, also one of before documents named their
// command or had several runs. The error names the file and what is wrong with it.
func ReadRun(path string) (*Run, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	r, err := parseRun(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func parseRun(b []byte) (*Run, error) {
	kind, err := kindOf(b)
	if err != nil {
		return nil, err
	}
	if kind.Command != "" && kind.Command != CommandRun {
		return nil, fmt.Errorf("a document of %q: want one of %q", kind.Command, CommandRun)
	}
	var r Run
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("not a document of run: %w", err)
	}
	if len(r.Rows)+len(r.Idle) == 0 {
		return nil, fmt.Errorf("it has no rows")
	}
	return &r, r.checkRows()
}

// checkRows returns an error if rows are not those of run, or one is there twice.
func (r *Run) checkRows() error {
	seen := map[string]bool{}
	var keys []string
	for i := range r.Rows {
		keys = append(keys, r.Rows[i].key())
		if r.Rows[i].Level == "" {
			return fmt.Errorf("row %d has no level: not a document of %q", i, CommandRun)
		}
	}
	for i := range r.Idle {
		keys = append(keys, r.Idle[i].key())
		if r.Idle[i].Level == "" {
			return fmt.Errorf("entry %d of idle has no level: not a document of %q", i, CommandRun)
		}
	}
	for _, k := range keys {
		if seen[k] {
			return fmt.Errorf("%s is there twice", k)
		}
		seen[k] = true
	}
	return nil
}

// key tells the row from all others of its run.
func (r *Row) key() string {
	return fmt.Sprintf("%q, %s, %d of %d sending, %s", r.Level, Bytes(r.SizeBytes), r.Senders, r.Members, r.Network)
}

func (i *Idle) key() string {
	k := fmt.Sprintf("%q, %s, idle", i.Level, Bytes(i.SizeBytes))
	if i.LatencyOf != "" && i.LatencyOf != oneWay {
		k += ", " + i.LatencyOf
	}
	return k
}
