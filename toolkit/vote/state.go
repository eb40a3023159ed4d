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
	Keys   [][]byte // of Open and then Closed: JSON spoils text that is not UTF-8
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
	for _, p := range append(s.Open[:len(s.Open):len(s.Open)], s.Closed...) {
		s.Keys = append(s.Keys, []byte(p.Key))
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
	for i, p := range append(s.Open[:len(s.Open):len(s.Open)], s.Closed...) {
		switch {
		case p == nil:
			return fmt.Errorf("vote: a state with a poll that is null")
		case i >= len(s.Keys):
			return fmt.Errorf("vote: a state with %d keys for more polls", len(s.Keys))
		}
		p.Key = string(s.Keys[i])
		m.polls[p.Key] = p
		if p.Decided {
			m.closed = append(m.closed, p.Key)
		}
	}
	return nil
}
