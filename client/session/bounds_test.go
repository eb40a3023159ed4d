package session

import "testing"

// alone returns a group of one member, which serves clients, and what carries out what it
// wants and returns what it tells clients.
func alone(t *testing.T) (*Member, func() []Output) {
	m := NewMember(100, 8)
	pump := func() (told []Output) {
		for list := m.Take(); len(list) > 0; list = m.Take() {
			for _, o := range list {
				if o.Do == Submit {
					m.Deliver(1, o.Payload)
				} else {
					told = append(told, o)
				}
			}
		}
		return told
	}
	m.Enter(1, []uint64{1}, true)
	pump()
	return m, pump
}

// TestQuestionsGivenUp: of a question that the client is done with nothing stays at the
// gateway, though nobody has answered it.
func TestQuestionsGivenUp(t *testing.T) {
	m, pump := alone(t)
	s := m.Hello(7, 1, false, nil)
	pump()
	for seq := uint64(1); seq <= 10_000; seq++ {
		envelope := AppendEnvelope(nil, true, 7, seq, seq, nil) // done with all before
		if err := m.Begin(s, envelope, All); err != nil {
			t.Fatal(err)
		}
		m.Deliver(1, envelope)
		m.End(s, true)
		pump()
	}
	if k := len(s.questions); k > 1 {
		t.Errorf("%d questions are kept, want 1", k)
	}
}

// TestForgottenAfterForget, not before: the last sign of life may be two ticks old when a
// client is lost.
func TestForgottenAfterForget(t *testing.T) {
	m, pump := alone(t)
	s := m.Hello(7, 1, false, nil)
	pump()
	m.Tick()
	pump()
	m.Lost(s, false) // just before the next tick
	ticks := -1      // whole ones since
	for ; m.clients[7] != nil; ticks++ {
		m.Tick()
		pump()
	}
	if ticks < 8 || ticks > 11 {
		t.Errorf("forgotten after %d ticks, want 8 to 11", ticks)
	}
}

// TestAGroupTwice in a hello would have each of them opened by a message to the group.
func TestAGroupTwice(t *testing.T) {
	h := Hello{Client: 1, Epoch: 1, Beat: MinBeat, Groups: []string{"a", "b", "a"}}
	if _, err := ParseHello(h.Append(nil)); err == nil {
		t.Error("taken")
	}
}
