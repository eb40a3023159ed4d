package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"cohort/engine"
	"cohort/toolkit"
)

// levels are what each kind of message is sent at.
type levels struct{ message, marker, report engine.Level }

// weakest is what works, and nothing weaker does: see the tests. What a member sends after
// its cut must not come before another's: by cbcast it comes after the marker. The marker
// has one place among the views, so that all know whose states make the snapshot. Reports
// may come in any order, for they count what they need.
var weakest = levels{engine.Causal, engine.Total, engine.FIFO}

// machine is a member's part.
type machine struct {
	levels levels
	app    Handler
	view   toolkit.View
	sent   uint64            // messages of this member
	got    map[uint64]uint64 // messages of each member that have come here, to whomever they were
	last   uint64            // number of this member's last snapshot
	cuts   map[uint64]*cut   // its snapshots under way, or taken and not fetched
}

// cut is a snapshot being taken, at the member that takes it.
type cut struct {
	members []uint64 // that are part of it, by rank; nil until the marker has come
	reports map[uint64]report
	seen    []letter // messages that came since the marker was sent: others may not have had them before it
	done    *Snapshot
}

func newMachine(app Handler) *machine {
	return &machine{levels: weakest, app: app, got: map[uint64]uint64{}, cuts: map[uint64]*cut{}}
}

// send sends one of the program's messages.
func (m *machine) send(to uint64, payload []byte, out toolkit.Out) error {
	switch {
	case len(payload) > MaxPayload:
		return fmt.Errorf("snapshot: %w: %d bytes, want at most %d", engine.ErrTooLarge, len(payload), MaxPayload)
	case m.away():
		return fmt.Errorf("snapshot: %w", engine.ErrExpelled)
	}
	m.sent++
	out.Send(m.levels.message, letter{m.view.Self, to, 0, payload}.append(nil))
	return nil
}

// away tells whether this member is expelled, and not back yet.
func (m *machine) away() bool { return m.view.Self == 0 }

// take begins a snapshot.
func (m *machine) take(out toolkit.Out) uint64 {
	m.last++
	m.cuts[m.last] = &cut{reports: map[uint64]report{}}
	out.Send(m.levels.marker, appendMarker(nil, m.last))
	return m.last
}

// Deliver takes a message of the program, a marker or a report.
func (m *machine) Deliver(d toolkit.Message, out toolkit.Out) {
	if l, ok := parseLetter(d.Payload); ok && l.from == d.From {
		m.takeLetter(l, out)
	} else if num, ok := parseMarker(d.Payload); ok {
		m.takeMarker(d.From, num, out)
	} else if r, ok := parseReport(d.Payload); ok && r.taker == m.view.Self {
		if c := m.cuts[r.num]; c != nil && c.done == nil {
			r.state = slices.Clone(r.state)
			c.reports[d.From] = r
		}
	}
	m.complete()
}

func (m *machine) takeLetter(l letter, out toolkit.Out) {
	m.got[l.from]++
	l.num = m.got[l.from]
	for _, c := range m.cuts {
		if c.done == nil {
			c.seen = append(c.seen, letter{l.from, l.to, l.num, slices.Clone(l.payload)})
		}
	}
	if l.to == m.view.Self || l.to == All && l.from != m.view.Self {
		m.app.Deliver(l.from, l.payload, func(to uint64, payload []byte) error { return m.send(to, payload, out) })
	}
}

// takeMarker is this member's cut: what it has sent and got by now is before it.
func (m *machine) takeMarker(from, num uint64, out toolkit.Out) {
	r := report{taker: from, num: num}
	if state := m.app.State(); len(state) <= MaxState {
		r.sent, r.state = m.sent, state
		for _, o := range m.view.Members {
			r.got = append(r.got, count{o.ID, m.got[o.ID]})
		}
	} // else it is null: one who reports has at least itself to count
	out.Send(m.levels.report, r.append(nil))
	if c := m.cuts[num]; c != nil && from == m.view.Self {
		c.members = ids(m.view)
	}
}

func ids(v toolkit.View) (list []uint64) {
	for _, o := range v.Members {
		list = append(list, o.ID)
	}
	return list
}

// complete ends the snapshots of which all is there.
func (m *machine) complete() {
	for _, c := range m.cuts {
		if c.done == nil && c.members != nil && !slices.ContainsFunc(c.members, func(id uint64) bool { return m.waitsFor(c, id) }) {
			c.done = m.assemble(c)
			c.seen, c.reports = nil, nil
		}
	}
}

// waitsFor tells whether something of a member has yet to come: its report, or what it
// had sent before.
func (m *machine) waitsFor(c *cut, id uint64) bool {
	r, reported := c.reports[id]
	return m.view.Rank(id) >= 0 && (!reported || m.got[id] < r.sent)
}

func (m *machine) assemble(c *cut) *Snapshot {
	s := &Snapshot{}
	for _, id := range c.members {
		r := c.reports[id]
		s.Members = append(s.Members, State{ID: id, Null: m.view.Rank(id) < 0 || len(r.got) == 0})
		if one := &s.Members[len(s.Members)-1]; !one.Null {
			one.State = r.state
		}
	}
	for _, l := range c.seen {
		for _, to := range s.Members {
			if l.to != to.ID && (l.to != All || l.from == to.ID) || to.Null {
				continue
			}
			if from := s.Of(l.from); from != nil && !from.Null && l.num <= c.reports[l.from].sent && l.num > c.reports[to.ID].had(l.from) {
				s.InFlight = append(s.InFlight, Message{l.from, to.ID, l.payload})
			}
		}
	}
	return s
}

// View takes a view. A member that comes back is another, that has sent nothing yet.
func (m *machine) View(v toolkit.View, out toolkit.Out) {
	if v.Expelled || v.Self != m.view.Self {
		m.sent, m.cuts = 0, map[uint64]*cut{}
	}
	if v.Fresh {
		m.got = map[uint64]uint64{}
	}
	m.view = v
	if v.Expelled {
		m.view.Self = 0
	}
	for _, d := range v.Left {
		delete(m.got, d.ID)
	}
	m.app.View(v)
	m.complete()
}

// Snapshot gives what those who join need to know: how much of each stream has been.
func (m *machine) Snapshot() (io.ReadCloser, error) {
	b, err := json.Marshal(m.got)
	return io.NopCloser(bytes.NewReader(b)), err
}

// Restore takes that from another member.
func (m *machine) Restore(r io.Reader) error {
	got := map[uint64]uint64{}
	if err := json.NewDecoder(r).Decode(&got); err != nil {
		return fmt.Errorf("snapshot: a state that cannot be read: %w", err)
	}
	if got == nil {
		got = map[uint64]uint64{}
	}
	m.got = got
	return nil
}
