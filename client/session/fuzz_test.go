package session

import (
	"bytes"
	"testing"
)

// FuzzClientLetters: what is taken for a message of the group encodes to the same meaning, and
// no bytes upset a member.
func FuzzClientLetters(f *testing.F) {
	f.Add(AppendEnvelope(nil, false, 1, 1, 1, []byte("body")))
	f.Add(AppendEnvelope(nil, true, 1, 7, 5, []byte("body")))
	for k := own; k < kinds; k++ {
		f.Add(letter{kind: k, to: 1, client: 1, seq: 2, lag: 1, token: 3, clients: []uint64{1, 2}}.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, ok := parseLetter(b); ok {
			again, ok := parseLetter(l.append(nil))
			if !ok || !bytes.Equal(again.append(nil), l.append(nil)) {
				t.Errorf("%+v from %x is %+v again", l, b, again)
			}
		}
		m := NewMember(2, 2)
		m.Enter(1, []uint64{1, 2}, true)
		m.Deliver(1, letter{kind: ready}.append(nil))
		s := m.Hello(1, 1, false, nil)
		m.Deliver(1, letter{kind: open, client: 1, seq: 1, token: s.token}.append(nil))
		for _, from := range []uint64{1, 2, 3} {
			m.Deliver(from, b)
			if m.Begin(s, b, All) == nil {
				m.Deliver(1, b)
				m.End(s, true)
			}
		}
		m.Tick()
		m.View([]uint64{1})
		m.Stop()
		if err := m.Restore(m.Snapshot()); err != nil {
			t.Error(err)
		}
	})
}

// FuzzClientFrames: the same of what passes between a client and its gateway.
func FuzzClientFrames(f *testing.F) {
	f.Add(Hello{Client: 1, Epoch: 2, Known: true, Beat: 1e9, Groups: []string{"orders", ""}}.Append(nil))
	for k := FrameRequest; k <= FrameDone; k++ {
		f.Add(Frame{Kind: k, Code: TooFew, Group: 1, Want: All, Seq: 300, From: 4, Rank: 2, Name: "member", Body: []byte("body")}.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHello(b); err == nil {
			if again, err := ParseHello(h.Append(nil)); err != nil || len(again.Groups) != len(h.Groups) || again.Client != h.Client || again.Beat != h.Beat {
				t.Errorf("hello %+v from %x is %+v again, %v", h, b, again, err)
			}
		}
		if x, err := ParseFrame(b); err == nil {
			again, err := ParseFrame(x.Append(nil))
			if err != nil || !bytes.Equal(again.Append(nil), x.Append(nil)) {
				t.Errorf("frame %+v from %x is %+v again, %v", x, b, again, err)
			}
		}
	})
}

// FuzzClientTable: a table from another member may be anything, and costs no more than its
// bytes.
func FuzzClientTable(f *testing.F) {
	m := NewMember(10, 5)
	m.Enter(7, []uint64{7, 8}, true)
	m.Deliver(7, letter{kind: ready}.append(nil))
	m.Deliver(7, letter{kind: open, client: 3, seq: 1, token: 1}.append(nil))
	m.Deliver(7, AppendEnvelope(nil, false, 3, 1, 1, nil))
	m.Deliver(8, letter{kind: closing, token: 4, clients: []uint64{3}}.append(nil))
	f.Add(m.Snapshot())
	f.Add([]byte{tableVersion, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewMember(10, 5)
		if m.Restore(b) != nil {
			return
		}
		state := m.Snapshot()
		if err := m.Restore(state); err != nil || !bytes.Equal(m.Snapshot(), state) {
			t.Errorf("%x is taken, but not again: %v", b, err)
		}
	})
}
