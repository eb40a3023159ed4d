package cohort

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// snapshot is what a member that joins gets.
type snapshot struct {
	Joined   map[uint64]uint64
	Departed []uint64
	Sessions []savedSession
}

type savedSession struct {
	Name, Owner uint64
	Requests    []savedRequest
}

type savedRequest struct {
	Num, View    uint64
	Payload      []byte // the answer if it is done, else the request
	Done, Failed bool
}

// Snapshot gives the sessions as they are now.
func (m *machine) Snapshot() (io.ReadCloser, error) {
	s := snapshot{Joined: m.joined, Departed: m.departed}
	for _, name := range m.names() {
		one := savedSession{Name: name, Owner: m.sessions[name].owner}
		for num, e := range m.sessions[name].requests {
			r := savedRequest{num, e.view, e.request, e.done, e.failed}
			if e.done {
				r.Payload = e.answer
			}
			one.Requests = append(one.Requests, r)
		}
		s.Sessions = append(s.Sessions, one)
	}
	b, err := json.Marshal(s)
	return io.NopCloser(bytes.NewReader(b)), err
}

// Restore takes another member's sessions. Who serves what the next view tells.
func (m *machine) Restore(r io.Reader) error {
	var s snapshot
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("cohort: a state that cannot be read: %w", err)
	}
	m.reset()
	for id, num := range s.Joined {
		m.joined[id] = num
	}
	m.departed = s.Departed
	for _, one := range s.Sessions {
		session := &session{owner: one.Owner, requests: map[uint64]*entry{}}
		for _, r := range one.Requests {
			e := &entry{view: r.View, done: r.Done, failed: r.Failed}
			if r.Done {
				e.answer = r.Payload
			} else {
				e.request = r.Payload
			}
			session.requests[r.Num] = e
		}
		m.sessions[one.Name] = session
	}
	return nil
}
