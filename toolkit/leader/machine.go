package leader

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit"
)

// machine elects. Where nobody leads, the oldest member of the view claims to; where the
// claim is delivered and it is still the oldest, its term begins. A claim is a safe
// message: what number a term has is not forgotten by those who go on, whoever fails.
// Who leads does so until it goes.
type machine struct {
	state
	born  uint64       // number below which this member begins no term
	level engine.Level // of claims

	view     toolkit.View
	blocked  bool
	claiming bool   // a claim is under way
	void     uint64 // terms of this member's up to this number are over, whatever others think
	term     *Term  // this member's; nil if it does not lead
}

// state is what all members have: the last term, and whose it is.
type state struct {
	number uint64
	leader uint64 // 0 if the term is over
}

// A claim is its tag and born, 8 bytes, little-endian; a state is number and leader.
const (
	tagClaim = 1
	claimLen = 9
	stateLen = 16

	maxBorn = 1 << 63 // leaves room to count
)

var le = binary.LittleEndian

func newMachine(born uint64) *machine { return &machine{born: born, level: engine.Total.Safe()} }

// Deliver begins a term.
func (m *machine) Deliver(k toolkit.Message, _ toolkit.Out) {
	if len(k.Payload) != claimLen || k.Payload[0] != tagClaim {
		return
	}
	own := k.From == m.view.Self
	if own {
		m.claiming, m.blocked = false, false
	}
	born := le.Uint64(k.Payload[1:])
	if r := m.view.Rank(k.From); born >= maxBorn || r < 0 || m.leader == 0 && r > 0 || m.leader != 0 && m.leader != k.From {
		return
	}
	m.end()
	m.number, m.leader = max(m.number+1, born), k.From
	if own {
		m.term = &Term{Number: m.number, done: make(chan struct{})}
	}
}

// View ends the term of one who has gone, and claims the next one for the oldest.
func (m *machine) View(v toolkit.View, out toolkit.Out) {
	switch {
	case v.Expelled:
		m.end()
		m.view, m.blocked, m.claiming = v, false, false
		m.leader = 0
		return
	case v.Blocked:
		m.end()
		m.blocked = true
		m.claim(out) // if it goes on after all, then by another number
		return
	}
	m.view, m.blocked = v, false
	if v.Rank(m.leader) < 0 {
		m.end()
		m.leader = 0
	}
	if v.Rank(v.Self) == 0 && m.leader == 0 && !m.claiming {
		m.claim(out)
	}
}

func (m *machine) claim(out toolkit.Out) {
	m.claiming = true
	out.Send(m.level, le.AppendUint64([]byte{tagClaim}, m.born))
}

// end ends this member's own term.
func (m *machine) end() {
	if m.leader == m.view.Self {
		m.void = m.number
	}
	if m.term != nil {
		close(m.term.done)
		m.term = nil
	}
}

// standing is who leads, as far as this member can know.
func (m *machine) standing() Standing {
	if m.blocked || m.leader == m.view.Self && m.number <= m.void {
		return Standing{Number: m.number}
	}
	r := m.view.Rank(m.leader)
	if r < 0 {
		return Standing{Number: m.number}
	}
	return Standing{Number: m.number, Leader: m.view.Members[r], Known: true, Self: r == m.view.Rank(m.view.Self)}
}

// Standing is who leads a group.
type Standing struct {
	Number uint64            // of the last term, 0 before the first
	Leader membership.Member // who leads, if that is known
	Known  bool              // false between two terms, and while this member sees no quorum
	Self   bool              // this member leads
}

func (m *machine) Snapshot() (io.ReadCloser, error) {
	b := le.AppendUint64(le.AppendUint64(nil, m.number), m.leader)
	return io.NopCloser(strings.NewReader(string(b))), nil
}

func (m *machine) Restore(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, stateLen+1))
	if err != nil {
		return err
	}
	if len(b) != stateLen {
		return fmt.Errorf("leader: a state of %d bytes or more, want %d", len(b), stateLen)
	}
	m.state = state{le.Uint64(b), le.Uint64(b[8:])}
	return nil
}
