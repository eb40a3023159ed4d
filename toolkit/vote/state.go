package vote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// snapshot is what a member that joins gets: open polls, in which it does not vote, and
// the outcomes of others.
type snapshot struct {
	Next   uint64
	Open   []*poll
	Closed []*poll
}

// Snapshot gives the polls as they are now.
func (m *machine) Snapshot() (io.ReadCloser, error) {
	s := snapshot{Next: m.next, Open: m.open}
	for _, key := range m.closed {
		s.Closed = append(s.Closed, m.polls[key])
	}
	b, err := json.Marshal(s)
	return io.NopCloser(bytes.NewReader(b)), err
}

// Restore takes another member's polls.
func (m *machine) Restore(r io.Reader) error {
	var s snapshot
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("vote: a state that cannot be read: %w", err)
	}
	m.reset()
	m.next, m.open = s.Next, s.Open
	for _, p := range append(s.Open[:len(s.Open):len(s.Open)], s.Closed...) {
		if p == nil {
			return fmt.Errorf("vote: a state with a poll that is null")
		}
		m.polls[p.Key] = p
		if p.Decided {
			m.closed = append(m.closed, p.Key)
		}
	}
	return nil
}
