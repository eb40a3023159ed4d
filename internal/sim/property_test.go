package sim

import (
	"encoding/binary"
	"testing"

	"cohort/core"
	"cohort/order"
	"cohort/wire"
)

// script is a history made by hand.
type script struct{ *History }

func newScript(members int) script {
	return script{NewHistory(members, func() int64 { return started })}
}

// send lets a member send and wholly submit a message.
func (s script) send(sender int, l order.Level) *Message {
	m := s.Accept(sender, Op{Level: l, Size: 20})
	s.Begin(m)
	s.Complete(m)
	return m
}

// packet hands packet number of a sender to members.
func (s script) packet(sender int, number uint64, members ...int) {
	for _, member := range members {
		s.Hold(member, sender, number)
	}
}

// deliver delivers a message, in packet number of its sender, to members in turn.
func (s script) deliver(m *Message, number uint64, members ...int) {
	for _, member := range members {
		s.Deliver(member, &core.Delivery{
			Sender: m.Sender, Packet: number, Group: m.Group, Kind: m.kind(), Level: m.Level, Payload: m.payload(nil),
		})
	}
}

// record sends an ordering record in packet number of a member.
func (s script) record(sender int, number, t uint64, cut ...uint64) {
	r := wire.Record{T: t, Cut: wire.Deltas(wire.AppendDeltas(nil, make([]uint64, len(cut)), cut)[1:])}
	s.noteRecord(sender, number, r)
}

// histories are, for each property, histories that keep it and ones that break it.
var histories = []struct {
	name, breaks string // "": keeps all
	play         func(s script)
}{
	{"all deliver", "", func(s script) {
		s.deliver(s.send(0, order.FIFO), 1, 0, 1, 2)
	}},
	{"another payload", "Integrity", func(s script) {
		m := s.send(0, order.FIFO)
		b := m.payload(nil)
		b[len(b)-1]++
		s.Deliver(1, &core.Delivery{Packet: 1, Payload: b})
	}},
	{"never sent", "Integrity", func(s script) {
		s.Deliver(1, &core.Delivery{Packet: 1, Payload: binary.LittleEndian.AppendUint32(nil, 3)})
	}},
	{"aborted", "Integrity", func(s script) {
		m := s.Accept(0, Op{Size: 20})
		s.Begin(m)
		s.Abort(m)
		s.deliver(m, 1, 1)
	}},
	{"another level", "Integrity", func(s script) {
		m := s.send(0, order.FIFO)
		s.Deliver(1, &core.Delivery{Packet: 1, Level: order.Causal, Payload: m.payload(nil)})
	}},
	{"twice", "NoDuplication", func(s script) {
		s.deliver(s.send(0, order.FIFO), 1, 1, 1)
	}},
	{"two in order", "", func(s script) {
		a, b := s.send(0, order.Total), s.send(0, order.FIFO)
		s.deliver(a, 1, 0, 1, 2)
		s.deliver(b, 2, 0, 1, 2)
	}},
	{"one left out", "FIFO", func(s script) {
		s.send(0, order.Total)
		s.deliver(s.send(0, order.FIFO), 2, 1)
	}},
	{"an aborted one left out", "", func(s script) {
		m := s.Accept(0, Op{Size: 20})
		s.Begin(m)
		s.Abort(m)
		s.deliver(s.send(0, order.FIFO), 2, 0, 1, 2)
	}},
	{"answer before question", "Causal", func(s script) {
		question := s.send(0, order.FIFO)
		s.deliver(question, 1, 1)
		s.deliver(s.send(1, order.Causal), 1, 2)
	}},
	{"fifo answer before question", "", func(s script) {
		question := s.send(0, order.Causal)
		s.deliver(question, 1, 1)
		answer := s.send(1, order.FIFO)
		s.deliver(answer, 1, 0, 1, 2)
		s.deliver(question, 1, 0, 2)
	}},
	{"concurrent messages, either way", "", func(s script) {
		a, b := s.send(0, order.Causal), s.send(1, order.Causal)
		s.deliver(a, 1, 0, 2)
		s.deliver(b, 1, 1, 2, 0)
		s.deliver(a, 1, 1)
	}},
	{"total order, two ways", "Total", func(s script) {
		a, b := s.send(0, order.Total), s.send(1, order.Total)
		s.deliver(a, 1, 0)
		s.deliver(b, 1, 1)
	}},
	{"total order, one behind", "", func(s script) {
		a, b := s.send(0, order.Total), s.send(1, order.Total)
		s.deliver(a, 1, 0, 1)
		s.deliver(b, 1, 0, 1)
		s.deliver(a, 1, 2)
		s.deliver(b, 1, 2)
	}},
	{"safe, one of three has it", "Safe", func(s script) {
		s.deliver(s.send(0, order.FIFO.Safe()), 1, 0)
	}},
	{"safe, two of three have it", "", func(s script) {
		m := s.send(0, order.FIFO.Safe())
		s.packet(0, 1, 1)
		s.deliver(m, 1, 0, 1, 2)
	}},
	{"safe-all, two of three have it", "Safe", func(s script) {
		m := s.send(0, order.FIFO.SafeAll())
		s.packet(0, 1, 1)
		s.deliver(m, 1, 0)
	}},
	{"safe, but a packet before it is missing", "Safe", func(s script) {
		m := s.send(0, order.FIFO.Safe())
		s.packet(0, 2, 1, 2)
		s.deliver(m, 2, 0)
	}},
	{"safe, but its past is not", "Safe", func(s script) {
		past := s.send(0, order.FIFO)
		s.deliver(past, 1, 0)
		s.at[1].index[0], s.at[1].packet[0] = 1, 1 // delivered, as far as the history knows
		m := s.send(1, order.Causal.Safe())
		s.packet(1, 1, 0, 2)
		s.deliver(m, 1, 0)
	}},
	{"safe total, but its record is not", "Safe", func(s script) {
		m := s.send(0, order.Total.Safe())
		s.packet(0, 1, 1, 2)
		s.record(0, 2, 1, 1, 0, 0)
		s.deliver(m, 1, 0)
	}},
	{"safe total with its record", "", func(s script) {
		m := s.send(0, order.Total.Safe())
		s.packet(0, 1, 1)
		s.record(0, 2, 1, 1, 0, 0)
		s.packet(0, 2, 1)
		s.deliver(m, 1, 0, 1, 2)
	}},
	{"safe total, but what is ordered before it is not", "Safe", func(s script) {
		before := s.send(1, order.Total)
		m := s.send(0, order.Total.Safe())
		s.packet(0, 1, 1, 2)
		s.record(0, 1, 1, 1, 1, 0)
		s.deliver(before, 1, 0)
		s.deliver(m, 1, 0)
	}},
	{"two records in one place", "OneHolder", func(s script) {
		s.record(0, 1, 1, 1, 0, 0)
		s.record(1, 1, 1, 0, 1, 0)
	}},
	{"a record sent twice", "", func(s script) {
		s.record(0, 1, 1, 1, 0, 0)
		s.record(0, 1, 1, 1, 0, 0)
	}},
	{"a row that claims too much", "HonestRows", func(s script) {
		s.packet(0, 2, 1) // and not packet 1
		s.checkRow(1, wire.Row(wire.AppendRow(nil, 1, 0, false, []uint64{2, 0, 0})))
	}},
	{"not its sender", "SelfDelivery", func(s script) {
		s.deliver(s.send(0, order.FIFO), 1, 1, 2)
	}},
	{"not all", "SameViewDelivery", func(s script) {
		s.deliver(s.send(0, order.FIFO), 1, 0, 2)
	}},
	{"nobody", "Liveness", func(s script) { s.send(0, order.FIFO) }},
}

func TestPropertiesOnHistories(t *testing.T) {
	broken := map[string]bool{}
	for _, c := range histories {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(3)
			c.play(s)
			s.end()
			got := ""
			if s.violation != nil {
				got = s.violation.Property
			}
			if got != c.breaks {
				t.Errorf("broke %q, want %q (%v)", got, c.breaks, s.violation)
			}
			broken[got] = true
		})
	}
	for _, p := range Properties {
		if (p.delivered != nil || p.ended != nil) && !broken[p.Name] {
			t.Errorf("no history breaks %s", p.Name)
		}
	}
}
