package tuning

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Change is one setting and what becomes of it.
type Change struct {
	Setting string `json:"setting"` // a file of /proc/sys or /sys, or ethtool:IF:ring:rx, ethtool:IF:feature:NAME
	Old     string `json:"old"`     // when it was looked at
	New     string `json:"new"`
}

// Settings reads and writes settings of a machine.
type Settings interface {
	Get(setting string) (string, error)
	Set(setting, value string) error
}

// Event is what became of a change; Err is nil if it was made.
type Event struct {
	Change
	Skipped string // why it was left alone; "" if it was not
	Err     error
}

// state is the file that Undo works from.
type state struct {
	Schema  int      `json:"schema"`
	Changes []Change `json:"changes"` // in the order in which they were made
}

const stateSchema = 1

// maxState bounds a state file, bytes: it is the first thing that is wrong when
// it is another file.
const maxState = 1 << 20

// Apply makes changes and tells of each what became of it. Before each one it
// writes to the state file (mode 0600, its folder is made) what Undo needs; what the
// file has already stays, so that several Apply are undone together. A setting
// that has the new value already is skipped. A change that the system refuses does
// not stop the others, is taken out of the file again, and is in the error too.
func Apply(s Settings, changes []Change, file string, tell func(Event)) error {
	st, err := readState(file)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range changes {
		e := Event{Change: c}
		if e.Old, e.Err = s.Get(c.Setting); e.Err == nil && e.Old == c.New {
			e.Skipped = "it is so already"
		} else if e.Err == nil {
			e.Err = st.make(s, e.Change, file)
		}
		if tell(e); e.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Setting, e.Err))
		}
	}
	return errors.Join(errs...)
}

// make makes one change, and has it in the file first: whoever is interrupted
// between the two has a file that speaks of a change that was not made, which
// Undo sees.
func (st *state) make(s Settings, c Change, file string) error {
	st.Changes = append(st.Changes, c)
	if err := st.write(file); err != nil {
		st.Changes = st.Changes[:len(st.Changes)-1]
		return err
	}
	err := s.Set(c.Setting, c.New)
	if err != nil {
		st.Changes = st.Changes[:len(st.Changes)-1]
		err = errors.Join(err, st.write(file))
	}
	return err
}

// Undo takes back what the state file speaks of, the last change first, and tells
// of each what became of it. A setting that is neither what Apply made of it nor
// what it was belongs to somebody else by now and is left alone. What is done is
// taken out of the file, and an empty file is removed; without a file there is
// nothing to do. A change that cannot be taken back stays in the file and is in
// the error.
func Undo(s Settings, file string, tell func(Event)) error {
	st, err := readState(file)
	if err != nil {
		return err
	}
	var errs []error
	var stay []Change // the last first
	for len(st.Changes) > 0 {
		last := len(st.Changes) - 1
		e := undo(s, st.Changes[last])
		if tell(e); e.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Setting, e.Err))
			stay = append(stay, st.Changes[last])
		}
		st.Changes = st.Changes[:last]
		left := state{Changes: append([]Change(nil), st.Changes...)}
		for i := len(stay) - 1; i >= 0; i-- {
			left.Changes = append(left.Changes, stay[i])
		}
		if err := left.write(file); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(errs...)
}

// undo takes one change back. In the Event old and new have changed places.
func undo(s Settings, c Change) Event {
	e := Event{Change: Change{Setting: c.Setting, Old: c.New, New: c.Old}}
	now, err := s.Get(c.Setting)
	switch {
	case err != nil:
		e.Err = err
	case now == c.Old:
		e.Skipped = "it is so already"
	case now != c.New:
		e.Skipped = fmt.Sprintf("somebody has set it to %s since, and it stays so", now)
	default:
		e.Err = s.Set(c.Setting, c.Old)
	}
	return e
}

// CheckState returns the error that Apply and Undo would return of a state file that they
// cannot read, before anything is looked at. That there is none is no error.
func CheckState(file string) error {
	_, err := readState(file)
	return err
}

// readState reads the state file; without one the state is empty.
func readState(file string) (*state, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tuning: %w", err)
	}
	if info.Size() > maxState {
		return nil, fmt.Errorf("tuning: %s has %d bytes: want a state file of at most %d", file, info.Size(), maxState)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tuning: %w", err)
	}
	st := &state{}
	if err := json.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("tuning: %s is no state file: %w", file, err)
	}
	if st.Schema != stateSchema {
		return nil, fmt.Errorf("tuning: %s has schema %d: want %d", file, st.Schema, stateSchema)
	}
	return st, nil
}

// write replaces the file as a whole, so that there always is one that can be
// read; without changes it removes it.
func (st *state) write(file string) error {
	if len(st.Changes) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tuning: %w", err)
		}
		return nil
	}
	st.Schema = stateSchema
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("tuning: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("tuning: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return fmt.Errorf("tuning: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("tuning: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
