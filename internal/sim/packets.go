package sim

import (
	"fmt"
	"sort"
	"strings"

	"cohort/order"
	"cohort/wire"
)

// seen is what an observer reads in a packet as it is sent.
type seen struct {
	head wire.Header
	sec  wire.Sections
	err  error
}

// look reads a packet of a view of n members.
func look(b []byte, n int) (s seen) {
	if s.head, s.err = wire.Parse(b); s.err == nil && !wire.Verify(b) {
		s.err = wire.ErrChecksum
	}
	if s.err == nil {
		s.sec, s.err = s.head.Sections(b, n)
	}
	return s
}

// number is the packet's number in its sender's stream; 0 if it is not part of one.
func (s seen) number() uint64 {
	if s.err != nil || s.head.Kind != wire.Data {
		return 0
	}
	return s.head.Seq
}

// describe puts a packet into a few words for a trace.
func describe(b []byte, n int) string {
	s := look(b, n)
	if s.err != nil {
		return fmt.Sprintf("%d B: %v", len(b), s.err)
	}
	var text strings.Builder
	body := b[wire.HeaderSize : wire.HeaderSize+s.head.Body]
	switch s.head.Kind {
	case wire.Data:
		fmt.Fprintf(&text, "data %d.%d %v, %s", s.head.Sender, s.head.Seq, s.head.Level, frames(body))
	case wire.NAK:
		stream, ranges, _ := wire.ParseNAK(body, n, nil)
		fmt.Fprintf(&text, "nak %d.%v", stream, ranges)
	case wire.RowOnly:
		text.WriteString("row")
	default:
		fmt.Fprintf(&text, "kind %d", s.head.Kind)
	}
	if s.head.Flags&wire.HasDep != 0 {
		fmt.Fprintf(&text, ", dep %s", deltas(s.sec.Dep))
	}
	if s.head.Flags&wire.HasRecord != 0 {
		fmt.Fprintf(&text, ", record %d %s next %d", s.sec.Record.T, deltas(s.sec.Record.Cut), s.sec.Record.Next)
	}
	if row := s.sec.Row; row != nil {
		text.WriteString(", rcv")
		for k := range n {
			fmt.Fprintf(&text, " %d", row.Rcv(k))
		}
		fmt.Fprintf(&text, " ord %d", row.Ord())
		if row.Pause() {
			text.WriteString(" pause")
		}
	}
	if s.head.Flags&wire.WantRow != 0 {
		text.WriteString(", wants rows")
	}
	return text.String()
}

func frames(body []byte) string {
	var f wire.Frame
	whole, parts := 0, 0
	for n := wire.NextFrame(body, &f); n > 0; n = wire.NextFrame(body, &f) {
		if body = body[n:]; f.First && f.Last {
			whole++
		} else {
			parts++
		}
	}
	if parts > 0 {
		return fmt.Sprintf("%d messages, %d fragments", whole, parts)
	}
	return fmt.Sprintf("%d messages", whole)
}

func deltas(d wire.Deltas) string {
	var text []string
	for k, by, ok := d.Next(); ok; k, by, ok = d.Next() {
		text = append(text, fmt.Sprintf("%d+%d", k, by))
	}
	return "{" + strings.Join(text, " ") + "}"
}

// record is an ordering record as it was first sent.
type record struct {
	sender int
	number uint64
	cut    []uint64 // total
	need   []uint64 // packets up to here carry this record and all before it
}

// records is the chain of ordering records, the first at 0.
type records []record

// Sent notes a packet that a member puts on the network, and checks what it
// claims.
func (h *History) Sent(from int, s seen) {
	if s.err != nil {
		h.fail("Output", from, "sends a malformed packet: %v", s.err)
		return
	}
	if s.head.Flags&wire.HasRecord != 0 {
		h.noteRecord(int(s.head.Sender), s.head.Seq, s.sec.Record)
	}
	if s.sec.Row != nil {
		h.checkRow(int(s.head.Sender), s.sec.Row)
	}
}

// noteRecord is the property OneHolder.
func (h *History) noteRecord(sender int, number uint64, r wire.Record) {
	last := len(h.records)
	switch {
	case r.T <= uint64(last):
		if old := h.records[r.T-1]; old.sender != sender || old.number != number {
			h.fail("OneHolder", sender, "record %d is in packet %d of %d, and was in packet %d of %d",
				r.T, number, sender, old.number, old.sender)
		}
		return
	case r.T > uint64(last)+1:
		h.fail("OneHolder", sender, "record %d is made when the last is %d", r.T, last)
		return
	}
	cut, need := make([]uint64, h.n), make([]uint64, h.n)
	if last > 0 {
		copy(cut, h.records[last-1].cut)
		copy(need, h.records[last-1].need)
	}
	r.Cut.AddTo(cut)
	need[sender] = max(need[sender], number)
	h.records = append(h.records, record{sender, number, cut, need})
}

// checkRow is the property HonestRows.
func (h *History) checkRow(member int, row wire.Row) {
	for k := range h.n {
		if has := h.at[member].hold[k].upto; k != member && row.Rcv(k) > has {
			h.fail("HonestRows", member, "says that it has packets up to %d of %d, but has them up to %d", row.Rcv(k), k, has)
		}
	}
}

// raise raises need to the packets that carry the records up to the one that
// orders m; it says so if none was sent.
func (r records) raise(need []uint64, m *Message) string {
	t := sort.Search(len(r), func(t int) bool { return r[t].cut[m.Sender] >= m.packet })
	if t == len(r) {
		return "no record that was sent orders it"
	}
	order.Raise(need, r[t].need)
	return ""
}
